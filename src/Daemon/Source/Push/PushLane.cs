using System.Collections.Concurrent;
using MigrationD.Protocol.Lanes;
using MigrationD.Protocol.Lanes.Contract;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Source.Push;

/// <summary>
/// A push lane on its source: what its thread is to send, in order, and what the destination says on the same connection.
/// </summary>
internal sealed class PushLane(LaneCall call) : IDisposable
{
    private readonly BlockingCollection<Action<PushSender>> _work = [];
    private readonly CancellationTokenSource _stop = new();
    private volatile TaskCompletionSource _reported = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private uint _marksSent;
    private volatile uint _marksPlaced;

    public LaneCall Call => call;

    /// <summary>Has its thread do this when it has done everything before.</summary>
    public void Add(Action<PushSender> work) => _work.Add(work);

    /// <summary>Has its thread send something and a mark behind it; ends when the destination says that all is in its place.</summary>
    public async Task SendMarkedAsync(Action<PushSender> send, PrecopyMark mark, CancellationToken cancellationToken)
    {
        uint marks = ++_marksSent;
        _work.Add(
            push =>
            {
                send(push);
                push.SendMark(mark);
            },
            cancellationToken);
        while (true)
        {
            Task next = _reported.Task;
            if (_marksPlaced >= marks)
            {
                return;
            }

            await next.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Does the work of its thread until <see cref="Close"/> is called.</summary>
    /// <exception cref="LaneException">The lane broke.</exception>
    /// <exception cref="OperationCanceledException">It was closed before all work was done.</exception>
    public void Push(PushSender sender)
    {
        foreach (Action<PushSender> work in _work.GetConsumingEnumerable(_stop.Token))
        {
            work(sender);
        }
    }

    /// <summary>Hands over every report of the destination until it ends the lane.</summary>
    /// <exception cref="LaneException">The lane broke.</exception>
    public void ReadReports(Action<PushReport> reported)
    {
        while (call.TryReadMessage(out int length))
        {
            byte[] message = new byte[length];
            call.Read(message);
            PushReport report = PushReport.Parser.ParseFrom(message);
            reported(report);
            _marksPlaced = report.Marks;
            Interlocked.Exchange(ref _reported, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
        }
    }

    /// <summary>Takes no more work; what there is, is done only if the lane is <paramref name="complete"/>.</summary>
    public void Close(bool complete)
    {
        _work.CompleteAdding();
        if (!complete)
        {
            _stop.Cancel();
        }
    }

    public void Dispose()
    {
        call.Dispose();
        _work.Dispose();
        _stop.Dispose();
    }
}
