using FsCheck;
using FsCheck.Fluent;
using MigrationD.Guest.Kinds;
using MigrationD.Guest.Platform;
using MigrationD.Guest.Programs.Pulse;

namespace MigrationD.Guest.Tests.Programs.Pulse;

public sealed class PulseLayoutTests
{
    private static readonly GuestSpec Good = new("a-guest_1.x", GuestKind.Workload, 256L << 20, 2, 192L << 20, WalkPattern.Zipf);

    public static TheoryData<string, GuestSpec> Bad => new()
    {
        { "name", Good with { Name = "" } },
        { "name", Good with { Name = "-x" } },
        { "name", Good with { Name = "a/b" } },
        { "name", Good with { Name = "é" } },
        { "name", Good with { Name = new string('a', 64) } },
        { "name", Good with { Name = null! } },
        { "kind", Good with { Kind = 0 } },
        { "pattern", Good with { Pattern = (WalkPattern)9 } },
        { "1 to 4 vCPUs, not 0", Good with { Vcpus = 0 } },
        { "1 to 4 vCPUs, not 5", Good with { Vcpus = 5 } },
        { "multiple of 2 MiB", Good with { MemoryBytes = (256 << 20) + 4096 } },
        { "multiple of 2 MiB", Good with { MemoryBytes = 0 } },
        { "multiple of 2 MiB", Good with { MemoryBytes = -2 << 20 } },
        { "at most", Good with { MemoryBytes = long.MaxValue & ~((2L << 20) - 1) } },
        { "multiple of 4096", Good with { WorkingSetBytes = 4097 } },
        { "multiple of 4096", Good with { WorkingSetBytes = 0 } },
        { "multiple of 4096", Good with { WorkingSetBytes = -4096 } },
        { "less than a page", Good with { WorkingSetBytes = 4096 } },
        { "at most", Good with { WorkingSetBytes = 256 << 20 } },
        { "at most", Good with { WorkingSetBytes = long.MaxValue & ~4095L } },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void What_is_wrong_with_a_specification_is_said(string about, GuestSpec spec)
    {
        string objection = Assert.Single(GuestFactory.Validate(spec));
        Assert.Contains(about, objection, StringComparison.Ordinal);
        Assert.EndsWith(".", objection, StringComparison.Ordinal);
    }

    [Fact]
    public void Everything_that_is_wrong_is_said() =>
        Assert.Equal(6, GuestFactory.Validate(new GuestSpec("", 0, 1, 0, 1, 0)).Count);

    [Theory]
    [InlineData(256, 192, 2)]
    [InlineData(1024, 960, 4)]
    [InlineData(8192, 7168, 4)]
    [InlineData(2, 1, 4)]
    [InlineData(511 * 1024, 500 * 1024, 1)]
    public void Usual_sizes_fit(long memoryMiB, long workingSetMiB, int vcpus)
    {
        GuestSpec spec = Good with { MemoryBytes = memoryMiB << 20, WorkingSetBytes = workingSetMiB << 20, Vcpus = vcpus };
        Assert.Empty(GuestFactory.Validate(spec));
    }

    [Fact]
    public void The_largest_working_set_fits_and_a_page_more_does_not()
    {
        Gen<GuestSpec> specs =
            from blocks in Gen.Choose(1, 8192)
            from vcpus in Gen.Choose(1, AddressMap.MaxVcpus)
            from pattern in Gen.Elements(Enum.GetValues<WalkPattern>())
            select Good with { MemoryBytes = blocks * (long)GuestPage.BlockSize, Vcpus = vcpus, Pattern = pattern };
        Prop.ForAll(specs.ToArbitrary(), spec =>
        {
            long largest = PulseLayout.LargestWorkingSet(spec.MemoryBytes, spec.Vcpus, spec.Pattern);
            return GuestFactory.Validate(spec with { WorkingSetBytes = largest }).Count == 0
                && GuestFactory.Validate(spec with { WorkingSetBytes = largest + GuestPage.Size }).Count == 1;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Nothing_overlaps_and_shares_are_the_whole()
    {
        Gen<GuestSpec> specs =
            from blocks in Gen.Choose(1, 4096)
            from vcpus in Gen.Choose(1, AddressMap.MaxVcpus)
            from pattern in Gen.Elements(Enum.GetValues<WalkPattern>())
            from part in Gen.Choose(1, 100)
            let memory = blocks * (long)GuestPage.BlockSize
            let pages = Math.Max(vcpus, PulseLayout.LargestWorkingSet(memory, vcpus, pattern) / GuestPage.Size * part / 100)
            select new GuestSpec("x", GuestKind.Workload, memory, vcpus, pages * GuestPage.Size, pattern);
        Prop.ForAll(specs.ToArbitrary(), spec =>
        {
            var layout = new PulseLayout(spec);
            long next = 0;
            for (int vcpu = 0; vcpu < spec.Vcpus; vcpu++)
            {
                if (layout.ShareStart(vcpu) != next || layout.SharePages(vcpu) < 1)
                {
                    return false;
                }

                next += layout.SharePages(vcpu);
            }

            return next == layout.Pages
                && layout.KernelStackTop(spec.Vcpus - 1) <= layout.ZipfTableOffset
                && layout.VersionOffset(layout.Pages) <= layout.TablesEnd
                && layout.TablesEnd <= layout.WorkingSetOffset
                && layout.PageOffset(layout.Pages) == spec.MemoryBytes;
        }).QuickCheckThrowOnFailure();
    }
}
