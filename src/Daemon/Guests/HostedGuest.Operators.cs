using MigrationD.Guest;
using MigrationD.Protocol.StateMachines;

namespace MigrationD.Daemon.Guests;

/// <content>What operators do with a guest. What its hold does not allow for is refused, with the reason.</content>
internal sealed partial class HostedGuest
{
    /// <exception cref="Refusal">NotNow.</exception>
    public void Pause() => Command("pause", guest => guest.Pause());

    /// <exception cref="Refusal">NotNow.</exception>
    public void Resume() => Command("resume", guest =>
    {
        if (guest.Failure is { } failure)
        {
            throw new Refusal(Because.NotNow, $"resume guest '{Name}': it cannot go on: {failure}. Delete it and create it again.");
        }

        guest.Resume();
    });

    /// <summary>Holds the memory of a paused guest whose pages are all here, until that is disposed of.</summary>
    /// <exception cref="Refusal">NotNow.</exception>
    public StillMemory HoldWhole(string command) => HoldStill(command, HoldEvent.ReadOrdered);

    /// <summary>
    /// Holds the memory of a paused guest whose pages are all here, or of a lost one as far as it is here, until that is disposed of.
    /// </summary>
    /// <exception cref="Refusal">NotNow.</exception>
    public StillMemory HoldWhatIsHere(string command) => HoldStill(command, HoldEvent.SalvageOrdered);

    /// <summary>Ends the guest and frees its memory, or drops the record of a guest that has gone. Blocks, but for a lost guest.</summary>
    /// <exception cref="Refusal">NotNow.</exception>
    public Task DeleteAsync()
    {
        CancellationTokenSource? returned = null;
        Loss? loss = null;
        lock (_lock)
        {
            bool isRecord = _guest is null;
            _hold = Allowed("delete", HoldEvent.DeleteOrdered);
            if (_hold == Hold.Deleting)
            {
                loss = _loss;
            }
            else
            {
                Free();
                returned = isRecord ? _console.Forget() : null;
            }
        }

        // Neither under the lock: who reads the console from elsewhere ends on this thread, and the memory of a lost guest is its
        // session's, whose threads may need the lock on their way out.
        returned?.Cancel();
        return loss?.ForgetAsync() ?? Task.CompletedTask;
    }

    private StillMemory HoldStill(string command, HoldEvent order)
    {
        lock (_lock)
        {
            _hold = Allowed(command, order);
            IGuest guest = _guest!;
            Loss? loss = _loss;
            if (loss is null && guest.IsRunning)
            {
                throw new Refusal(
                    Because.NotNow,
                    $"{command} guest '{Name}': it runs, so its memory changes under the reading. Pause it first: "
                    + $"migrationd guest pause {Name}");
            }

            // Held, not locked: reading takes long, and others want to look at the guest meanwhile.
            _readers++;
            return new StillMemory(guest.Memory, loss?.Received, () => _loss == loss, EndReading);
        }
    }

    private void EndReading()
    {
        lock (_lock)
        {
            _readers--;
        }
    }

    private void Command(string command, Action<IGuest> act)
    {
        lock (_lock)
        {
            _hold = Allowed(command, HoldEvent.CommandOrdered);
            act(_guest!);
        }
    }
}
