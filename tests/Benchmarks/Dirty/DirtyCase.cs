using MigrationD.Guest;

namespace MigrationD.Benchmarks.Dirty;

/// <summary>A guest whose writes are logged.</summary>
/// <param name="Kind">What runs it.</param>
/// <param name="Pattern">Its walk.</param>
/// <param name="WriteProtected">
/// Whether its memory is write-protected by a userfaultfd also where its kind has a log of its own, to compare the two.
/// </param>
internal sealed record DirtyCase(GuestKind Kind, WalkPattern Pattern, bool WriteProtected = false)
{
    public string Name =>
        $"{Kind.ToString().ToLowerInvariant()}, {Pattern.ToString().ToLowerInvariant()}{(WriteProtected ? ", WP_ASYNC" : "")}";
}
