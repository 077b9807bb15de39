using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;
using MigrationD.Daemon.Files;
using MigrationD.Daemon.Logging;
using MigrationD.Guest;

namespace MigrationD.Daemon.Guests;

/// <summary>
/// Which guests this daemon has, in a directory that outlives it: a guest's memory is in the daemon's process, and when that is killed
/// nobody else could say that there were guests. It is no copy of a guest and restores none.
/// </summary>
/// <remarks>
/// One file a guest, written by one thread, in the order in which things happened and the last state only: a caller does not wait, unless
/// it wants to. What cannot be written is said in the log and tried again, and changes nothing for a guest that runs.
/// </remarks>
internal sealed class GuestJournal : IDisposable
{
    private const string Suffix = ".json";

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    // EWOULDBLOCK of flock(2), by which .NET carries out FileShare.None.
    private const int WouldBlock = 11;

    // How old "last seen alive" may be, and how long until a write that failed is tried again.
    private static readonly TimeSpan Beat = TimeSpan.FromSeconds(5);

    // A disk that does not answer must hold up neither a migration nor a stop for longer than this.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan PatienceForCreation = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, JournalEntry> _entries = new(StringComparer.Ordinal);
    private readonly AutoResetEvent _recorded = new(false);
    private readonly ILogger _logger;
    private readonly string _guests = "";
    private readonly SafeFileHandle? _lockFile;
    private readonly Thread? _writer;
    private Dictionary<string, TaskCompletionSource<string?>> _unwritten = new(StringComparer.Ordinal);
    private bool _ended;
    private bool _failing;

    private GuestJournal(ILogger logger) => _logger = logger;

    private GuestJournal(string folder, ILogger logger)
    {
        _logger = logger;
        _guests = Path.Combine(folder, "guests");
        Directory.CreateDirectory(folder, OwnerOnly);
        Directory.CreateDirectory(_guests, OwnerOnly);
        _lockFile = File.OpenHandle(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        try
        {
            ProveWritable();
            Read(File.GetLastWriteTimeUtc(_lockFile));
        }
        catch
        {
            _lockFile.Dispose();
            throw;
        }

        _writer = new Thread(Write) { Name = "journal", IsBackground = true };
        _writer.Start();
    }

    /// <summary>A journal that remembers nothing.</summary>
    public static GuestJournal None { get; } = new(NullLogger.Instance);

    /// <summary>The guests that ended with a daemon before this one.</summary>
    public IReadOnlyList<JournalEntry> Left { get; private set; } = [];

    /// <summary>Takes the directory for this daemon, and reads what the one before it left. Without one it remembers nothing.</summary>
    /// <exception cref="IOException">The directory cannot be used, or another daemon uses it; the message says what to do.</exception>
    public static GuestJournal Open(string? folder, ILogger logger)
    {
        if (folder is null)
        {
            return None;
        }

        try
        {
            return new GuestJournal(folder, logger);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw error is IOException { HResult: WouldBlock }
                ? new IOException(
                    $"keep the journal of guests in {folder}: another daemon keeps its own there; stop that one, or choose another --state",
                    error)
                : new IOException(
                    $"keep the journal of guests in {folder}: {error.Message}; make it a directory with free space that this daemon's user "
                    + "may write to, or choose another --state",
                    error);
        }
    }

    /// <summary>Records that a guest is about to be created here; returns when that lasts.</summary>
    /// <exception cref="Refusal">NotNow: it cannot be written; nothing is recorded.</exception>
    public void Create(GuestSpec spec)
    {
        Task<string?> written = Record(new JournalEntry(spec, JournalState.Here, DateTimeOffset.UtcNow));
        string? error = written.Wait(PatienceForCreation)
            ? written.Result
            : $"the disk did not answer within {PatienceForCreation.TotalSeconds} s";
        if (error is not null)
        {
            Remove(spec.Name);
            throw new Refusal(
                Because.NotNow,
                $"guest '{spec.Name}' is not created: its loss could not be reported, as the journal in {_guests} cannot be written: "
                + $"{error}. Make it writable again, or start the daemon with another --state");
        }
    }

    /// <summary>Records what has become of a guest. Returns at once.</summary>
    /// <returns>Ends when it lasts, with null, or could not be written, with the reason.</returns>
    public Task<string?> Record(JournalEntry entry) => Change(entry.Spec.Name, entry);

    /// <summary>Forgets a guest: nothing of it is here any more. Returns at once.</summary>
    /// <returns>As of <see cref="Record"/>.</returns>
    public Task<string?> Remove(string name) => Change(name, null);

    /// <summary>Waits for <paramref name="written"/>, but not for longer than being on the safe side is worth. Never throws.</summary>
    public static async Task SoonAsync(Task<string?> written) =>
        await ((Task)written).WaitAsync(Patience).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    /// <summary>Says of every guest that it ends with a daemon that ends in order, and gives the directory free.</summary>
    public void Dispose()
    {
        if (_writer is null)
        {
            return;
        }

        var stopped = DateTimeOffset.UtcNow;
        lock (_lock)
        {
            foreach (JournalEntry entry in _entries.Values.Where(one => one.End is null && one.State != JournalState.Expected).ToArray())
            {
                Change(entry.Spec.Name, entry with { End = JournalEnd.Stop, EndedAt = stopped });
            }

            _ended = true;
        }

        _recorded.Set();
        if (_writer.Join(Patience))
        {
            _lockFile!.Dispose();
            _recorded.Dispose();
        }
    }

    private void ProveWritable()
    {
        // Not a guest's name: those begin with a letter or a digit.
        string probe = Path.Combine(_guests, ".probe");
        DurableFile.Write(probe, "{}"u8);
        File.Delete(probe);
        DurableFile.FlushFolder(_guests);
    }

    private void Read(DateTime lastAlive)
    {
        foreach (string unfinished in Directory.GetFiles(_guests, $"*{DurableFile.UnfinishedSuffix}"))
        {
            File.Delete(unfinished);
        }

        foreach (string file in Directory.GetFiles(_guests, $"*{Suffix}").Order(StringComparer.Ordinal))
        {
            try
            {
                TakeOver(JournalEntry.Parse(Path.GetFileNameWithoutExtension(file), File.ReadAllBytes(file)), lastAlive);
            }
            catch (Exception error) when (error is JsonException or IOException or UnauthorizedAccessException)
            {
                DaemonLog.JournalEntryUnreadable(_logger, file, error.Message);
            }
        }

        Left = [.. _entries.Values];
    }

    /// <summary>Takes an entry over from the daemon before this one: what that wrote while it lived is now about a dead one.</summary>
    private void TakeOver(JournalEntry entry, DateTimeOffset lastAlive)
    {
        string name = entry.Spec.Name;
        if (entry.State == JournalState.Expected)
        {
            DaemonLog.ExpectedGuestDidNotCome(_logger, name, entry.Peer ?? "", entry.Migration ?? "");
            if (entry.Former is not { } former)
            {
                Change(name, null);
                return;
            }

            entry = former;
            Change(name, entry);
        }

        if (entry.End is null)
        {
            entry = entry with { End = JournalEnd.Death, EndedAt = lastAlive > entry.Since ? lastAlive : entry.Since };
            Change(name, entry);
        }

        _entries[name] = entry;
        if (entry.End == JournalEnd.Stop)
        {
            DaemonLog.GuestEndedByStop(_logger, name, entry.Explain());
        }
        else
        {
            DaemonLog.GuestLost(_logger, name, entry.Explain());
        }
    }

    private Task<string?> Change(string name, JournalEntry? entry)
    {
        lock (_lock)
        {
            if (_lockFile is null || _ended)
            {
                return Task.FromResult<string?>(null);
            }

            if (entry is not null)
            {
                _entries[name] = entry;
            }
            else
            {
                _entries.Remove(name);
            }

            if (!_unwritten.TryGetValue(name, out TaskCompletionSource<string?>? written))
            {
                _unwritten.Add(name, written = NewSignal());
            }

            _recorded.Set();
            return written.Task;
        }
    }

    private static TaskCompletionSource<string?> NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Write()
    {
        bool last;
        do
        {
            _recorded.WaitOne(Beat);
            // The time of the lock file is when this daemon was last alive. Not made to last: a host that crashes may lose some of it.
            Try(() => File.SetLastWriteTimeUtc(_lockFile!, DateTime.UtcNow));
            (string Name, JournalEntry? Entry, TaskCompletionSource<string?> Written)[] changes;
            lock (_lock)
            {
                last = _ended;
                changes = [.. _unwritten.Select(one => (one.Key, _entries.GetValueOrDefault(one.Key), one.Value))];
                _unwritten = new(StringComparer.Ordinal);
            }

            string?[] errors = [.. changes.Select(change => Try(() => Write(change.Name, change.Entry)))];
            string? flush = changes.Length == 0 ? null : Try(() => DurableFile.FlushFolder(_guests));
            // What has failed is tried again each time: all of it is in these changes.
            Report(errors.FirstOrDefault(error => error is not null) ?? flush);
            for (int i = 0; i < changes.Length; i++)
            {
                Finish(changes[i].Name, changes[i].Written, errors[i] ?? flush);
            }
        }
        while (!last);
    }

    private void Write(string name, JournalEntry? entry)
    {
        string file = Path.Combine(_guests, name + Suffix);
        if (entry is null)
        {
            File.Delete(file);
        }
        else
        {
            DurableFile.Write(file, entry.ToJson());
        }
    }

    private void Finish(string name, TaskCompletionSource<string?> written, string? error)
    {
        if (error is not null)
        {
            lock (_lock)
            {
                // With the next beat, or with the next change, whichever is first.
                _unwritten.TryAdd(name, NewSignal());
            }
        }

        written.SetResult(error);
    }

    /// <summary>Logs a failure once each time that writing begins to fail, not at each attempt.</summary>
    private void Report(string? error)
    {
        if (error is not null && !_failing)
        {
            DaemonLog.JournalUnusable(_logger, _guests, error);
        }
        else if (error is null && _failing)
        {
            DaemonLog.JournalUsable(_logger, _guests);
        }

        _failing = error is not null;
    }

    /// <summary>Says what went wrong, or null. Whatever it was, this thread has to go on.</summary>
    private static string? Try(Action act)
    {
        try
        {
            act();
            return null;
        }
        catch (Exception error)
        {
            return error.Message;
        }
    }
}
