using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Guests;
using MigrationD.Guest;

namespace MigrationD.Daemon.Tests.Guests;

/// <summary>Entries of a journal, as a daemon that lives may have them.</summary>
internal static class JournalSamples
{
    public static readonly DateTimeOffset Noon = new(2026, 11, 21, 12, 0, 0, TimeSpan.Zero);

    public static GuestSpec Spec(string name) => new(name, GuestKind.Kvm, 64 << 20, 2, 16 << 20, WalkPattern.Zipf);

    public static JournalEntry Entry(string name, JournalState state) => state == JournalState.Here
        ? new JournalEntry(Spec(name), state, Noon)
        : new JournalEntry(Spec(name), state, Noon, "0123456789ab", "10.0.0.6:7461");

    /// <summary>Any entry that can be on disk.</summary>
    public static Gen<JournalEntry> Any(string name) =>
        from entry in Living(name)
        from end in Gen.Elements<JournalEnd?>(null, JournalEnd.Death, JournalEnd.Stop)
        from hasFormer in Gen.Elements(true, false)
        from former in Living(name)
        select entry with
        {
            End = end,
            EndedAt = end is null ? null : Noon.AddMinutes(1),
            Former = hasFormer ? former with { End = JournalEnd.Death, EndedAt = Noon } : null,
        };

    private static Gen<JournalEntry> Living(string name) =>
        from state in Gen.Elements(Enum.GetValues<JournalState>())
        from seconds in Gen.Choose(0, 1_000_000)
        from kind in Gen.Elements(Enum.GetValues<GuestKind>())
        from pattern in Gen.Elements(Enum.GetValues<WalkPattern>())
        from content in Gen.Elements(Enum.GetValues<GuestContent>())
        from vcpus in Gen.Choose(1, 4)
        let entry = Entry(name, state)
        select entry with
        {
            Spec = entry.Spec with { Kind = kind, Pattern = pattern, Content = content, Vcpus = vcpus },
            Since = Noon.AddSeconds(seconds),
        };
}
