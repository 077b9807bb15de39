using MigrationD.Guest.Userfault;

namespace MigrationD.Daemon.Guests;

/// <summary>What is left of a guest that pages were lost of, or that ended with a daemon before this one.</summary>
/// <param name="reason">What happened, for whoever asks about the guest.</param>
/// <param name="received">Which of its pages are here; null when nothing is.</param>
/// <param name="forget">What deleting the guest means; ends when nothing of it is left.</param>
internal sealed class Loss(string reason, ReceivedPages? received = null, Func<Task>? forget = null)
{
    /// <summary>What happened.</summary>
    public string Reason => reason;

    /// <summary>Which of its pages are here; null when nothing is.</summary>
    public ReceivedPages? Received => received;

    /// <summary>Forgets it.</summary>
    /// <exception cref="MigrationD.Protocol.Refusals.Refusal">NotNow: its source is back, and the guest goes on.</exception>
    public Task ForgetAsync() => forget?.Invoke() ?? Task.CompletedTask;
}
