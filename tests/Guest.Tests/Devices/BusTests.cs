using FsCheck;
using FsCheck.Fluent;
using MigrationD.Guest.Devices;
using MigrationD.Guest.Platform;

namespace MigrationD.Guest.Tests.Devices;

public sealed class BusTests
{
    [Fact]
    public void Each_access_goes_to_the_one_device_that_has_all_of_its_addresses()
    {
        Gen<(BusRange[] Ranges, ulong Address, int Length)> accesses =
            from gaps in Gen.Choose(0, 5).ArrayOf()
            from lengths in Gen.Choose(1, 9).ArrayOf(gaps.Length)
            from address in Gen.Choose(0, 100)
            from length in Gen.Elements(1, 2, 4, 8)
            select (Lay(gaps, lengths), (ulong)address, length);
        Prop.ForAll(accesses.ToArbitrary(), one =>
        {
            // In any order: the bus sorts them.
            var bus = new Bus(one.Ranges.Reverse());
            BusRange? expected = one.Ranges.Cast<BusRange?>().FirstOrDefault(range =>
                range!.Value.Start <= one.Address && one.Address + (ulong)one.Length <= range.Value.Start + range.Value.Length);
            var vcpu = new TestVcpu();
            byte[] data = new byte[one.Length];
            bool read = bus.Read(vcpu, one.Address, data);
            bool written = bus.Write(vcpu, one.Address, data);
            return read == expected.HasValue && written == expected.HasValue && one.Ranges.All(range =>
                ((Recorder)range.Device).Accesses.SequenceEqual(range == expected
                    ? [(false, one.Address - range.Start, one.Length), (true, one.Address - range.Start, one.Length)]
                    : []));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void What_a_device_does_not_have_is_nobodys()
    {
        var bus = new Bus([new BusRange(0x10, 4, new Recorder { Answers = false })]);
        Assert.False(bus.Read(new TestVcpu(), 0x10, new byte[1]));
        Assert.False(bus.Write(new TestVcpu(), 0x10, new byte[1]));
    }

    [Fact]
    public void Ranges_up_to_the_last_address_are_possible()
    {
        var last = new Recorder();
        var bus = new Bus([new BusRange(ulong.MaxValue - 3, 4, last)]);
        Assert.True(bus.Read(new TestVcpu(), ulong.MaxValue, new byte[1]));
        Assert.False(bus.Read(new TestVcpu(), ulong.MaxValue, new byte[2]));
        Assert.Equal([(false, 3UL, 1)], last.Accesses);
    }

    [Theory]
    [InlineData(0x10, 8, 0x17, 1)]
    [InlineData(0x10, 8, 0x10, 8)]
    [InlineData(0x17, 1, 0x10, 8)]
    [InlineData(0x10, 0, 0x20, 1)]
    [InlineData(ulong.MaxValue, 2, 0x20, 1)]
    public void Two_devices_never_have_one_address(ulong start, ulong length, ulong otherStart, ulong otherLength) =>
        Assert.Throws<ArgumentException>(() => new Bus(
            [new BusRange(start, length, new Recorder()), new BusRange(otherStart, otherLength, new Recorder())]));

    private static BusRange[] Lay(int[] gaps, int[] lengths)
    {
        ulong next = 0;
        return [.. gaps.Zip(lengths, (gap, length) =>
        {
            ulong start = next + (ulong)gap;
            next = start + (ulong)length;
            return new BusRange(start, (ulong)length, new Recorder());
        })];
    }

    private sealed class Recorder : IBusDevice
    {
        public List<(bool IsWrite, ulong Offset, int Length)> Accesses { get; } = [];

        public bool Answers { get; init; } = true;

        public bool Read(IVcpu vcpu, ulong offset, Span<byte> into)
        {
            Accesses.Add((false, offset, into.Length));
            return Answers;
        }

        public bool Write(IVcpu vcpu, ulong offset, ReadOnlySpan<byte> from)
        {
            Accesses.Add((true, offset, from.Length));
            return Answers;
        }
    }
}
