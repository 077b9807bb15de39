using MigrationD.Guest.Kinds;
using MigrationD.Guest.Programs.Pulse;
using MigrationD.Guest.Tests.Kinds;

namespace MigrationD.Guest.Tests.Dirty;

/// <summary>A guest whose writes are logged, with its memory.</summary>
internal sealed class Subject : IDisposable
{
    public const long MemoryBytes = 32L << 20;
    private const long WorkingSetBytes = 16L << 20;
    private const int ReportsUntilNow = 3;

    private Subject(GuestKind kind, WalkPattern pattern, bool hugePages, int vcpus, long memoryBytes)
    {
        var spec = new GuestSpec("test", kind, memoryBytes, vcpus, WorkingSetBytes, pattern);
        Memory = GuestMemory.Map(spec.MemoryBytes);
        Memory.AllowHugeFaults(hugePages);
        Guest = GuestFactory.Create(spec, Memory);
        SparePage = (new PulseLayout(spec).TablesEnd >> GuestPage.Shift) + 3;
    }

    public GuestMemory Memory { get; }

    public IGuest Guest { get; }

    /// <summary>A page that the guest does not use, nor the one after it.</summary>
    public long SparePage { get; }

    /// <summary>A guest that has written its whole working set and goes on.</summary>
    public static Subject Running(GuestKind kind, WalkPattern pattern, bool hugePages, int vcpus = 2, long memoryBytes = MemoryBytes)
    {
        var subject = new Subject(kind, pattern, hugePages, vcpus, memoryBytes);
        try
        {
            subject.WriteSpare(0);
            subject.Guest.Resume();
            subject.Walk(1);
            return subject;
        }
        catch
        {
            subject.Dispose();
            throw;
        }
    }

    /// <summary>The same, paused.</summary>
    public static Subject Paused(GuestKind kind)
    {
        Subject subject = Running(kind, WalkPattern.Uniform, hugePages: false);
        subject.Guest.Pause();
        return subject;
    }

    /// <summary>Waits until the guest has taken so many steps more, counted from now on.</summary>
    public void Walk(int steps)
    {
        // The vCPUs of a KVM guest report one after the other, some time after their steps: what is known now may be of long before.
        long from = Guest.Report().Steps;
        for (int report = 0; report < ReportsUntilNow; report++)
        {
            long known = from;
            TestPages.AssertEventually(
                () => Guest.Failure is not null || Guest.Report().Steps != known, $"a report that is newer than {Guest.Report()}");
            from = Guest.Report().Steps;
        }

        TestPages.AssertEventually(
            () => Guest.Failure is not null || Guest.Report().Steps >= from + steps, $"{steps} steps after {from}, now {Guest.Report()}");
        Assert.Null(Guest.Failure);
    }

    /// <summary>This process writes <see cref="SparePage"/>, as a device would.</summary>
    public void WriteSpare(int value) => Memory.Write(SparePage << GuestPage.Shift, BitConverter.GetBytes(value));

    public void Dispose()
    {
        Guest.Dispose();
        Memory.Dispose();
    }
}
