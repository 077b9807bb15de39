using System.Diagnostics;
using Google.Protobuf;
using MigrationD.Daemon.Threading;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source.Link;

/// <summary>
/// Gives the orders of the switchover on a lane, one at a time. Who waits for an answer goes on on the thread that has read it, so that
/// between two orders there is no other thread to be woken: the guest stands still meanwhile. What follows the last answer, or a failure,
/// is not for that thread, which goes before all others: it would start others that do so too.
/// </summary>
internal sealed class HandoverLane(LaneCall call, HandoverPatience patience, ILogger logger) : IHandover, IDisposable
{
    // Far more than a sentence, far less than a lying destination could make this daemon keep.
    private const int MaxAnswerBytes = 64 * 1024;

    private readonly Lock _lock = new();
    private TaskCompletionSource<HandoverAnswer>? _pending;
    private Exception? _givenUp;
    private volatile bool _mayEnd;

    public LaneCall Call => call;

    public async Task ForgetAsync(IEnumerable<(long First, long Count)> stale, CancellationToken cancellationToken)
    {
        foreach (ForgetRequest some in StalePages.Messages(stale))
        {
            await OrderAsync(new HandoverOrder { Forget = some }, patience.Forget, cancellationToken).ConfigureAwait(false);
        }
    }

    public Task LoadStateAsync(byte[] state, CancellationToken cancellationToken) => OrderAsync(
        new HandoverOrder { LoadState = new LoadStateRequest { DeviceState = UnsafeByteOperations.UnsafeWrap(state) } }, patience.LoadState,
        cancellationToken);

    /// <remarks>
    /// On a lane that is lost by now it fails at once, and no call takes its place: the destination sees the loss as well and gives up
    /// before Run, so asking for the outcome is answered at once, and is right whatever the destination has seen.
    /// </remarks>
    public async Task<long> RunAsync(CancellationToken cancellationToken)
    {
        // From here on the destination's word counts and not this lane: that it is lost says nothing about the others.
        _mayEnd = true;
        await OrderAsync(new HandoverOrder { Run = new RunRequest() }, patience.Run, cancellationToken).ConfigureAwait(false);
        long answered = Stopwatch.GetTimestamp();
        await Task.Yield();
        return answered;
    }

    /// <summary>Reads answers until the destination ends the lane, which it does when the guest runs there.</summary>
    /// <exception cref="LaneException">The lane broke before Run was sent.</exception>
    /// <exception cref="Refusal">The destination ended it before Run was sent.</exception>
    public void ReadAnswers()
    {
        try
        {
            UrgentThread.Raise(logger);
            while (call.TryReadMessage(out int length))
            {
                HandoverAnswer answer = Read(length);
                RemovePending().SetResult(answer);
            }

            throw new LaneException(LaneFailure.PeerClosed, $"the destination {call.RemoteEndPoint} has ended the handover lane");
        }
        catch (Exception error)
        {
            // Whatever it is: who waits for an answer would wait for ever.
            bool matters = (!_mayEnd && _givenUp is null) || error is not (LaneException or Refusal);
            FailPending(_givenUp ?? Explain(error));
            if (matters)
            {
                throw;
            }
        }
    }

    /// <summary>Ends the orders, as the guest runs on the destination.</summary>
    public void Finish()
    {
        try
        {
            call.FinishWriting();
        }
        catch (LaneException)
        {
            // It has done its work.
        }
    }

    public void Dispose() => call.Dispose();

    private static Refusal Explain(Exception error) => error as Refusal ?? new Refusal(Because.Unreachable, error.Message, error);

    private async Task OrderAsync(HandoverOrder order, TimeSpan deadline, CancellationToken cancellationToken)
    {
        try
        {
            await AskAsync(order, deadline, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await Task.Yield();
            throw;
        }
    }

    private async Task AskAsync(HandoverOrder order, TimeSpan deadline, CancellationToken cancellationToken)
    {
        // Its continuation runs where it is completed: on the thread of ReadAnswers, and nowhere else.
        var pending = new TaskCompletionSource<HandoverAnswer>();
        lock (_lock)
        {
            if (_givenUp is { } earlier)
            {
                throw earlier;
            }

            _pending = pending;
        }

        using var timeout = new CancellationTokenSource(deadline);
        using (cancellationToken.Register(
            () => GiveUp(new OperationCanceledException($"{Describe(order)} was cancelled", cancellationToken))))
        using (timeout.Token.Register(() => GiveUp(new Refusal(
            Because.TimedOut, $"{Describe(order)}: no answer within {deadline.TotalSeconds:0.###} s"))))
        {
            try
            {
                call.Write(order.ToByteArray());
            }
            catch (LaneException error)
            {
                throw _givenUp ?? Explain(error);
            }

            HandoverAnswer answer = await pending.Task.ConfigureAwait(false);
            if (answer.Code != 0)
            {
                throw new Refusal(
                    Refusal.ReasonOf(answer.Code),
                    answer.Message.Length > 0 ? answer.Message : $"{Describe(order)}: refused with code {answer.Code} and no message");
            }
        }
    }

    private string Describe(HandoverOrder order) => $"{order.OrderCase} on the handover lane to {call.RemoteEndPoint}";

    /// <summary>Gives up waiting for the order that is under way. Who waits on the lane wakes up at once, and says why.</summary>
    private void GiveUp(Exception why)
    {
        lock (_lock)
        {
            if (_pending is null)
            {
                return;
            }

            _givenUp ??= why;
        }

        call.Abort(why.Message);
    }

    private HandoverAnswer Read(int length)
    {
        if (length > MaxAnswerBytes)
        {
            throw call.Refuse(Because.Busy, $"a HandoverAnswer of {length} bytes, and at most {MaxAnswerBytes} are accepted");
        }

        byte[] message = new byte[length];
        call.Read(message);
        try
        {
            return HandoverAnswer.Parser.ParseFrom(message);
        }
        catch (InvalidProtocolBufferException error)
        {
            throw call.Refuse(Because.Invalid, $"a malformed HandoverAnswer: {error.Message}");
        }
    }

    private TaskCompletionSource<HandoverAnswer> RemovePending()
    {
        lock (_lock)
        {
            TaskCompletionSource<HandoverAnswer> pending = _pending
                ?? throw call.Refuse(Because.Invalid, "the destination answered on the handover lane where nothing was asked");
            _pending = null;
            return pending;
        }
    }

    private void FailPending(Exception why)
    {
        TaskCompletionSource<HandoverAnswer>? pending;
        lock (_lock)
        {
            // Nor is any order taken from now on.
            _givenUp ??= why;
            pending = _pending;
            _pending = null;
        }

        pending?.SetException(why);
    }
}
