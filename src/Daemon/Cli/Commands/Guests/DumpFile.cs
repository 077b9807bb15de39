using MigrationD.Daemon.Cli.Client;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Cli.Commands.Guests;

/// <summary>
/// A dump on its way into a file: written beside it under another name, and put in its place when it is whole. What is not finished
/// is deleted.
/// </summary>
internal sealed class DumpFile : IDisposable
{
    // A guest's memory holds what the guest knows: nobody but the owner may read it.
    private static readonly FileStreamOptions NewFile = new()
    {
        Mode = FileMode.CreateNew,
        Access = FileAccess.Write,
        UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
    };

    private readonly FileStream _image;
    private readonly string _partial;
    private readonly bool _replace;
    private readonly List<PageRange> _missing = [];
    private DumpSummary? _summary;
    private bool _finished;

    private DumpFile(string path, string partial, FileStream image, bool replace)
    {
        Path = path;
        _partial = partial;
        _image = image;
        _replace = replace;
    }

    public string Path { get; }

    /// <summary>Where the missing pages are listed, if there are any.</summary>
    public string MissingPath => Path + ".missing";

    /// <summary>Begins a file at an absolute path, which nothing may be at unless it is to be replaced.</summary>
    /// <exception cref="CliException">There is a file already, or none can be made.</exception>
    public static DumpFile Create(string path, bool replace)
    {
        foreach (var taken in (string[])[path, path + ".missing"])
        {
            if (Directory.Exists(taken) || (!replace && File.Exists(taken)))
            {
                throw new CliException(ExitCode.Refused, "already-exists",
                    $"cannot dump into {path}: {taken} exists; choose another name" + (Directory.Exists(taken) ? "" : ", or say --force"));
            }
        }

        var partial = $"{path}.{Guid.NewGuid():N}.partial";
        return Writing(path, () => new DumpFile(path, partial, new FileStream(partial, NewFile), replace));
    }

    /// <summary>Writes what a chunk has; what it has not stays a hole.</summary>
    public void Add(DumpChunk chunk) => Writing(Path, () =>
    {
        foreach (var run in chunk.Runs)
        {
            RandomAccess.Write(_image.SafeFileHandle, run.Content.Span, (long)run.Offset);
        }

        foreach (var range in chunk.Missing)
        {
            if (_missing.LastOrDefault() is { } last && last.First + last.Count == range.First)
            {
                last.Count += range.Count;
            }
            else
            {
                _missing.Add(range);
            }
        }

        _summary ??= chunk.Summary;
        return true;
    });

    /// <summary>Puts the image in its place, after the list of what is missing in it.</summary>
    /// <exception cref="CliException">The dump is not whole, or cannot be written.</exception>
    public DumpSummary Finish()
    {
        if (_summary is not { } summary || (ulong)_missing.Sum(range => (long)range.Count) != summary.PagesMissing)
        {
            throw new CliException(
                ExitCode.Failed, "aborted", $"cannot dump into {Path}: the daemon ended the dump before its end; see its log");
        }

        return Writing(Path, () =>
        {
            _image.SetLength((long)summary.MemoryBytes);
            _image.Flush(flushToDisk: true);
            WriteMissing();
            File.Move(_partial, Path, _replace);
            _finished = true;
            return summary;
        });
    }

    public void Dispose()
    {
        _image.Dispose();
        if (!_finished)
        {
            File.Delete(_partial);
        }
    }

    // The list is there before the image is: an image with holes is never seen without it.
    private void WriteMissing()
    {
        File.Delete(MissingPath);
        if (_missing.Count == 0)
        {
            return;
        }

        using var list = new StreamWriter(MissingPath, NewFile);
        foreach (var range in _missing)
        {
            list.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{range.First} {range.Count}"));
        }
    }

    private static T Writing<T>(string path, Func<T> write)
    {
        try
        {
            return write();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CliException(ExitCode.Failed, "cannot-write", $"cannot dump into {path}: {error.Message}");
        }
    }
}
