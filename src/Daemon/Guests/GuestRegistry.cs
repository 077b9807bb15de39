using MigrationD.Daemon.Cli;
using MigrationD.Guest;
using MigrationD.Guest.Memory;
using MigrationD.Protocol.Grpc;
using GuestSpec = MigrationD.Guest.GuestSpec;

namespace MigrationD.Daemon.Guests;

/// <summary>The guests of this node, by name.</summary>
internal sealed class GuestRegistry(MemoryBudget budget)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, HostedGuest?> _guests = new(StringComparer.Ordinal);

    /// <summary>Creates a guest and lets it run.</summary>
    public HostedGuest Create(GuestSpec spec)
    {
        HostedGuest hosted = Add(spec, share =>
        {
            GuestMemory memory = GuestMemory.Map(spec.MemoryBytes);
            try
            {
                return HostedGuest.Created(GuestFactory.Create(spec, memory), share);
            }
            catch (Exception)
            {
                memory.Dispose();
                throw;
            }
        });
        hosted.Resume();
        return hosted;
    }

    /// <summary>Takes the name and the memory for a guest, and has it made; gives both back when that fails.</summary>
    /// <exception cref="GrpcException">ALREADY_EXISTS, RESOURCE_EXHAUSTED, or FAILED_PRECONDITION when this host cannot run it.</exception>
    public HostedGuest Add(GuestSpec spec, Func<IDisposable, HostedGuest> make)
    {
        HostedGuest? gone = TakeName(spec.Name);
        IDisposable? share = null;
        try
        {
            share = budget.TryTake(spec.MemoryBytes, out long free) ?? throw new GrpcException(
                GrpcStatusCode.ResourceExhausted,
                $"guest '{spec.Name}' needs {new ByteSize(spec.MemoryBytes)} of memory and this node has {new ByteSize(free)} of "
                + $"{new ByteSize(budget.Limit)} free for guests; delete or move guests, or raise its --guest-memory");
            HostedGuest hosted = make(share);
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

            if (error is GrpcException)
            {
                throw;
            }

            throw new GrpcException(
                GrpcStatusCode.FailedPrecondition, $"guest '{spec.Name}' cannot run on this node: {error.Message}", error);
        }
    }

    /// <exception cref="GrpcException">NOT_FOUND.</exception>
    public HostedGuest Find(string name)
    {
        lock (_lock)
        {
            return _guests.GetValueOrDefault(name) ?? throw new GrpcException(
                GrpcStatusCode.NotFound, $"there is no guest '{name}' on this node; see: migrationd guest list");
        }
    }

    public IReadOnlyList<HostedGuest> All()
    {
        lock (_lock)
        {
            return [.. _guests.Values.OfType<HostedGuest>().OrderBy(guest => guest.Name, StringComparer.Ordinal)];
        }
    }

    /// <summary>Ends a guest and forgets it.</summary>
    public void Delete(string name)
    {
        HostedGuest guest = Find(name);
        guest.Delete();
        Remove(guest);
    }

    /// <summary>Forgets a guest, and only this one: the name may have been taken anew.</summary>
    public void Remove(HostedGuest guest)
    {
        lock (_lock)
        {
            if (_guests.GetValueOrDefault(guest.Name) == guest)
            {
                _guests.Remove(guest.Name);
            }
        }
    }

    /// <summary>Keeps the name while the guest is made; gives what is left of a guest that has gone elsewhere.</summary>
    private HostedGuest? TakeName(string name)
    {
        lock (_lock)
        {
            bool known = _guests.TryGetValue(name, out HostedGuest? present);
            if (known && present is not { IsGone: true })
            {
                throw new GrpcException(
                    GrpcStatusCode.AlreadyExists,
                    $"there is a guest '{name}' on this node already; choose another name or delete that one");
            }

            _guests[name] = null;
            return present;
        }
    }
}
