using Microsoft.Extensions.Logging.Abstractions;
using MigrationD.Daemon.Logging;
using MigrationD.Guest;
using MigrationD.Guest.Kinds;
using MigrationD.Guest.Memory;

namespace MigrationD.Daemon.Guests;

/// <summary>
/// The guests of this node, by name; those that ended with a daemon before this one among them, until somebody deletes them.
/// </summary>
internal sealed class GuestRegistry(MemoryBudget budget, GuestJournal journal, ILogger logger)
{
    /// <summary>Why no guest is let in while the node is closed.</summary>
    public const string ClosedReason =
        "it is drained and takes no guests; 'migrationd undrain' there makes it take them again, or choose another node";

    private readonly Lock _lock = new();
    private readonly Dictionary<string, HostedGuest?> _guests = journal.Left.ToDictionary(
        left => left.Spec.Name, left => (HostedGuest?)HostedGuest.LeftBehind(left), StringComparer.Ordinal);

    private volatile bool _closed;

    /// <summary>The guests of a node that remembers nothing.</summary>
    public GuestRegistry(MemoryBudget budget)
        : this(budget, GuestJournal.None, NullLogger.Instance)
    {
    }

    /// <summary>Makes a guest of this node in memory that is all zeros.</summary>
    public Func<GuestSpec, GuestMemory, IGuest> Make { private get; init; } = GuestFactory.Create;

    public GuestJournal Journal => journal;

    public MemoryBudget Budget => budget;

    /// <summary>Whether no guest is let in, neither a new one nor one from elsewhere.</summary>
    public bool IsClosed => _closed;

    /// <summary>Whether a guest that was let in is not among <see cref="All"/> yet.</summary>
    public bool IsMaking
    {
        get
        {
            lock (_lock)
            {
                return _guests.ContainsValue(null);
            }
        }
    }

    /// <summary>Lets no guest in any more; one that is being made is made.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _closed = true;
        }
    }

    /// <summary>Lets guests in again.</summary>
    public void Open() => _closed = false;

    /// <summary>Creates a guest and lets it run.</summary>
    public HostedGuest Create(GuestSpec spec)
    {
        HostedGuest hosted = Add(spec, isReturn: false, share =>
        {
            GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
            IGuest? guest = null;
            try
            {
                guest = Make(spec, memory);
                journal.Create(spec);
                return HostedGuest.Created(guest, share, journal);
            }
            catch (Exception)
            {
                guest?.Dispose();
                memory.Dispose();
                throw;
            }
        });
        hosted.Resume();
        return hosted;
    }

    /// <summary>
    /// Reserves the name and the memory for a guest that is to come, and has it made; gives both back when that fails. A guest that ended
    /// here with a daemon before this one gives it its name: what comes is newer than what is known.
    /// </summary>
    /// <exception cref="Refusal">AlreadyThere, Busy, or NotNow when this host cannot run it.</exception>
    public HostedGuest Expect(GuestSpec spec, Func<IDisposable, HostedGuest> make) => Add(spec, isReturn: true, make);

    private HostedGuest Add(GuestSpec spec, bool isReturn, Func<IDisposable, HostedGuest> make)
    {
        HostedGuest? gone = ReserveName(spec.Name, isReturn);
        IDisposable? share = null;
        try
        {
            share = budget.TryReserve(spec.MemoryBytes, out long free) ?? throw new Refusal(
                Because.Busy,
                $"guest '{spec.Name}' needs {new ByteSize(spec.MemoryBytes)} of memory and this node has {new ByteSize(free)} of "
                + $"{new ByteSize(budget.Limit)} free for guests; delete or move guests, or raise its --guest-memory");
            HostedGuest hosted = make(share);
            if (isReturn)
            {
                HostedGuest? former = gone is { Left: not null } ? gone : null;
                hosted.Expect(former);
                if (former is not null)
                {
                    DaemonLog.LostGuestReplaced(logger, spec.Name, former.Left!.Explain());
                }
            }

            lock (_lock)
            {
                _guests[spec.Name] = hosted;
            }

            return hosted;
        }
        catch (Exception error)
        {
            share?.Dispose();
            lock (_lock)
            {
                _guests.Remove(spec.Name);
                if (gone is not null)
                {
                    _guests.Add(spec.Name, gone);
                }
            }

            if (error is Refusal)
            {
                throw;
            }

            throw new Refusal(Because.NotNow, $"guest '{spec.Name}' cannot run on this node: {error.Message}", error);
        }
    }

    /// <exception cref="Refusal">NotFound.</exception>
    public HostedGuest Find(string name)
    {
        lock (_lock)
        {
            return _guests.GetValueOrDefault(name) ?? throw new Refusal(
                Because.NotFound, $"there is no guest '{name}' on this node; see: migrationd guest list");
        }
    }

    public IReadOnlyList<HostedGuest> All()
    {
        lock (_lock)
        {
            return [.. _guests.Values.OfType<HostedGuest>().OrderBy(guest => guest.Name, StringComparer.Ordinal)];
        }
    }

    /// <summary>Ends a guest and forgets the guest; the task ends when the journal has forgotten it as well.</summary>
    public async Task DeleteAsync(string name)
    {
        HostedGuest guest = Find(name);
        await guest.DeleteAsync().ConfigureAwait(false);
        await Remove(guest).ConfigureAwait(false);
    }

    /// <summary>
    /// Forgets a guest, and only this one: the name may have been taken anew. A guest that was expected and has not come leaves the name
    /// to the one that had it before. The task ends when the journal says so.
    /// </summary>
    public Task Remove(HostedGuest guest)
    {
        lock (_lock)
        {
            if (_guests.GetValueOrDefault(guest.Name) != guest)
            {
                return Task.CompletedTask;
            }

            if (guest.Former is { IsForgotten: false } former)
            {
                _guests[guest.Name] = former;
                return GuestJournal.SoonAsync(journal.Record(former.Left!));
            }

            _guests.Remove(guest.Name);
            return GuestJournal.SoonAsync(journal.Remove(guest.Name));
        }
    }

    /// <summary>Keeps the name while the guest is made; gives what is left of the one that had it before.</summary>
    private HostedGuest? ReserveName(string name, bool isReturn)
    {
        lock (_lock)
        {
            if (_closed)
            {
                throw new Refusal(Because.NotNow, $"guest '{name}' cannot be on this node: {ClosedReason}");
            }

            bool known = _guests.TryGetValue(name, out HostedGuest? present);
            if (present is { Left: not null } && !isReturn)
            {
                throw new Refusal(
                    Because.AlreadyThere,
                    $"guest '{name}' of this node ended with a daemon before this one, and that report would be lost: read it with "
                    + $"'migrationd guest show {name}', end it with 'migrationd guest delete {name}', or choose another name");
            }

            if (known && present is not ({ IsGone: true } or { Left: not null }))
            {
                throw new Refusal(
                    Because.AlreadyThere, $"there is a guest '{name}' on this node already; choose another name or delete that one");
            }

            _guests[name] = null;
            return present;
        }
    }
}
