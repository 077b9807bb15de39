using Microsoft.Extensions.Logging;
using Polly;
using Polly.Retry;

namespace MigrationD.Protocol.Calls;

/// <summary>The one way in which anything in migrationd waits for a peer that is not there.</summary>
public static partial class Dialing
{
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(5);
    private static readonly ResiliencePropertyKey<long> FirstFailure = new("migrationd.first-failure");

    /// <summary>
    /// Runs a call again while it ends with UNAVAILABLE: after about 100 ms, then after twice as long each time up to 5 s, with jitter.
    /// </summary>
    /// <remarks>
    /// Only for calls that may be carried out twice: UNAVAILABLE is also what a connection that was lost before the answer ends with.
    /// </remarks>
    /// <param name="maximum">
    /// How long to go on after the first failure; the last attempt begins at most one delay later, and its failure is the caller's. An
    /// attempt under way is not cut short: give it a deadline.
    /// </param>
    /// <param name="logger">Told of each retry, with the failure that caused it.</param>
    /// <param name="time">The clock that attempts and pauses go by; null for the system's.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maximum"/> is below zero.</exception>
    public static ResiliencePipeline Pipeline(TimeSpan maximum, ILogger logger, TimeProvider? time = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maximum, TimeSpan.Zero);
        TimeProvider clock = time ?? TimeProvider.System;
        return new ResiliencePipelineBuilder { TimeProvider = clock }
            .AddRetry(new RetryStrategyOptions
            {
                MaxRetryAttempts = int.MaxValue,
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                Delay = FirstDelay,
                MaxDelay = LongestDelay,
                ShouldHandle = outcome => ValueTask.FromResult(
                    outcome.Outcome.Exception is Refusal { Why: Because.Unreachable }
                    && SinceFirstFailure(outcome.Context, clock) < maximum),
                OnRetry = retry =>
                {
                    Retrying(logger, retry.AttemptNumber + 1, retry.RetryDelay.TotalMilliseconds, retry.Outcome.Exception!.Message);
                    return ValueTask.CompletedTask;
                },
            })
            .Build();
    }

    private static TimeSpan SinceFirstFailure(ResilienceContext context, TimeProvider clock)
    {
        if (!context.Properties.TryGetValue(FirstFailure, out long start))
        {
            start = clock.GetTimestamp();
            context.Properties.Set(FirstFailure, start);
        }

        return clock.GetElapsedTime(start);
    }

    [LoggerMessage(1, LogLevel.Warning, "Attempt {Attempt} failed, the next follows in {DelayMs:0} ms: {Reason}")]
    private static partial void Retrying(ILogger logger, int attempt, double delayMs, string reason);
}
