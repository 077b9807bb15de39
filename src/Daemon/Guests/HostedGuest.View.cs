using MigrationD.Protocol.StateMachines;
using MigrationD.Protocol.V1;
using GuestMessage = MigrationD.Protocol.V1.Guest;

namespace MigrationD.Daemon.Guests;

/// <content>What everybody sees of a guest.</content>
internal sealed partial class HostedGuest
{
    /// <summary>Whether something of the guest is in this process.</summary>
    public bool IsHere
    {
        get
        {
            lock (_lock)
            {
                return _guest is not null;
            }
        }
    }

    /// <summary>Whether nobody wants to know of the guest any more.</summary>
    public bool IsForgotten => Is(Hold.Deleted);

    /// <summary>Whether only the record of a guest that has gone elsewhere is left, so that its name is free.</summary>
    public bool IsGone => Is(Hold.Gone);

    /// <summary>Says where the guest's console is to be read now.</summary>
    /// <exception cref="Refusal">NotNow: it has none.</exception>
    public ConsolePlace FindConsole()
    {
        lock (_lock)
        {
            if (Left is not null)
            {
                throw new Refusal(Because.NotNow, $"console of guest '{Name}': {_loss!.Reason}");
            }

            if (!_console.Exists)
            {
                throw new Refusal(
                    Because.NotNow,
                    $"console of guest '{Name}': a guest of this kind has no serial port; what it reports of itself: "
                    + $"migrationd guest show {Name}");
            }

            string? failure = _hold is Hold.Deleted or Hold.Discarded
                ? $"guest '{Name}' was deleted"
                : _guest?.Failure is { } why ? $"guest '{Name}' cannot go on: {why}" : null;
            return _console.Place(_journey.Migration, failure, State() == GuestState.Incoming);
        }
    }

    public GuestMessage Snapshot()
    {
        lock (_lock)
        {
            return new GuestMessage
            {
                Spec = GuestMessages.ToMessage(Spec),
                State = State(),
                Report = GuestMessages.ToMessage(_hold == Hold.Away || _guest is null ? _lastReport : _guest.Report()),
                Failure = _loss?.Reason ?? _guest?.Failure ?? "",
                MigrationId = _journey.Migration,
            };
        }
    }

    private GuestState State() => _hold switch
    {
        Hold.Away or Hold.Gone => GuestState.Migrated,
        Hold.Incoming => GuestState.Incoming,
        _ when _loss is not null || _guest?.Failure is not null => GuestState.Failed,
        Hold.Discarded => GuestState.Incoming,
        _ => _heldBack || _guest is { IsRunning: true } ? GuestState.Running : GuestState.Paused,
    };

    private bool Is(Hold hold)
    {
        lock (_lock)
        {
            return _hold == hold;
        }
    }
}
