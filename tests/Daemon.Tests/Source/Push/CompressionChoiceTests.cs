using FsCheck;
using FsCheck.Fluent;
using MigrationD.Daemon.Source.Push;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Source.Push;

/// <summary>The choice over made-up links: what it costs where packing does not pay, and what it gains where it does.</summary>
public sealed class CompressionChoiceTests
{
    private const int Block = 2 << 20;

    [Fact]
    public void Off_packs_nothing_and_on_packs_everything()
    {
        Assert.False(new CompressionChoice(CompressMode.Off).ShouldPack(Block));
        Assert.True(new CompressionChoice(CompressMode.On).ShouldPack(Block));
        Assert.True(new CompressionChoice(CompressMode.On).ShouldPack(4096));
    }

    [Fact]
    public void Nothing_is_packed_on_a_link_that_is_faster_than_packing()
    {
        Gen<MadeUpLink> links = Links((600, 8000), (50, 500), (1, 100));
        Prop.ForAll(links.ToArbitrary(), link =>
        {
            link.Send(new CompressionChoice(CompressMode.Auto), batches: 500, Block);
            return link.Packed == 0;
        }).QuickCheckThrowOnFailure();
    }

    /// <summary>
    /// What it tries at the start, and one fiftieth. One link in ten thousand is such that a big buffer hides from it how fast the link is,
    /// while packing takes two thirds of that speed.
    /// </summary>
    [Fact]
    public void Whatever_the_link_and_the_contents_it_takes_hardly_longer_than_without()
    {
        const int Number = 3000;
        var slow = new List<string>();
        foreach (MadeUpLink link in Links((1, 2000), (20, 2000), (1, 100)).Sample(Number))
        {
            double plain = 1000L * Block / link.BytesPerSecond;
            link.Send(new CompressionChoice(CompressMode.Auto), batches: 1000, Block);
            Assert.True(link.Seconds <= (plain * 1.5) + 0.15, $"{link}: {link.Seconds} s, {plain} s without");
            if (link.Seconds > (plain * 1.06) + 0.15)
            {
                slow.Add($"{link}: {link.Seconds} s, {plain} s without");
            }
        }

        Assert.True(slow.Count <= Number / 500, string.Join('\n', slow));
    }

    [Fact]
    public void Speeds_are_told_apart_where_what_is_tried_comes_often()
    {
        // Until it is known how slowly this packs, as many batches go over packed as there are between two that try the link without.
        var link = new MadeUpLink(89e6, 20e6, 0.1, 0);
        link.Send(new CompressionChoice(CompressMode.Auto), batches: 1000, Block);
        Assert.InRange(link.Seconds, 0, (1000.0 * Block / 89e6 * 1.06) + 1.5);
    }

    [Fact]
    public void On_a_thin_link_nearly_all_is_gained_that_there_is_to_gain()
    {
        Gen<MadeUpLink> links = Links((5, 120), (250, 900), (10, 60));
        Prop.ForAll(links.ToArbitrary(), link =>
        {
            link.Send(new CompressionChoice(CompressMode.Auto), batches: 1000, Block);
            // Packing goes on while the link drains the buffer.
            double best = 1000.0 * Block * Math.Max(1 / link.Packing, link.Ratio / link.BytesPerSecond);
            double serial = 1000.0 * Block * ((1 / link.Packing) + (link.Ratio / link.BytesPerSecond));
            Assert.InRange(link.Seconds, best * 0.9, (serial * 1.12) + 0.4);
            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
    }

    [Fact]
    public void Contents_that_change_are_found_out()
    {
        var link = new MadeUpLink(12.5e6, 400e6, 1, 4e6);
        var choice = new CompressionChoice(CompressMode.Auto);
        double plain = 200 * Block / link.BytesPerSecond;
        Assert.InRange(Time(), plain * 0.95, plain * 1.05);
        link.Ratio = 0.2;
        Assert.InRange(Time(), plain * 0.2, plain * 0.3);
        link.Ratio = 1;
        Assert.InRange(Time(), plain * 0.95, plain * 1.05);

        double Time()
        {
            double before = link.Seconds;
            link.Send(choice, 200, Block);
            return link.Seconds - before;
        }
    }

    [Fact]
    public void A_link_that_gets_fast_is_found_out()
    {
        var link = new MadeUpLink(12.5e6, 400e6, 0.3, 4e6);
        var choice = new CompressionChoice(CompressMode.Auto);
        link.Send(choice, 200, Block);
        Assert.InRange(link.Packed, 150, 200);

        link.BytesPerSecond = 2e9;
        link.Send(choice, 2000, Block);
        long before = link.Packed;
        link.Send(choice, 200, Block);
        Assert.InRange(link.Packed - before, 0, 10);
    }

    [Fact]
    public void A_destination_that_unpacks_slowly_is_not_sent_what_is_packed()
    {
        // It takes in no more than 100 MB of pages a second, and the link would carry 200 as they are.
        var link = new MadeUpLink(200e6, 800e6, 0.3, 4e6) { Unpacking = 100e6 };
        link.Send(new CompressionChoice(CompressMode.Auto), 2000, Block);
        double plain = 2000.0 * Block / 200e6;
        Assert.InRange(link.Seconds, plain * 0.9, plain * 1.15);
    }

    [Fact]
    public void Single_pages_are_packed_too_where_that_pays()
    {
        var link = new MadeUpLink(5e6, 300e6, 0.3, 1e6);
        var choice = new CompressionChoice(CompressMode.Auto);
        link.Send(choice, 50, Block);
        long before = link.Packed;
        link.Send(choice, 1000, 4096);
        Assert.InRange(link.Packed - before, 900, 1000);
    }

    /// <summary>Links that carry, and packers that take, so many MB a second, and contents that pack to so many percent.</summary>
    private static Gen<MadeUpLink> Links((int Least, int Most) carries, (int Least, int Most) packs, (int Least, int Most) percent) =>
        from link in Gen.Choose(carries.Least, carries.Most)
        from packing in Gen.Choose(packs.Least, packs.Most)
        from ratio in Gen.Choose(percent.Least, percent.Most)
        from buffer in Gen.Choose(0, 6)
        select new MadeUpLink(link * 1e6, packing * 1e6, ratio / 100.0, buffer * 1e6);

    /// <summary>A link behind a socket's buffer, and a guest whose pages all pack alike. Figures are bytes, and bytes a second.</summary>
    private sealed class MadeUpLink(double bytesPerSecond, double packing, double ratio, double buffer)
    {
        // Into a buffer that has room.
        private const double Copying = 3e9;

        private double _filled;

        public double BytesPerSecond { get; set; } = bytesPerSecond;

        public double Packing { get; } = packing;

        public double Ratio { get; set; } = ratio;

        public double Unpacking { get; init; } = double.PositiveInfinity;

        public long Packed { get; private set; }

        public double Seconds { get; private set; }

        public void Send(CompressionChoice choice, int batches, int bytes)
        {
            for (; batches > 0; batches--)
            {
                double packing = 0;
                int sent = bytes;
                // What the buffer drains at: a destination takes packed pages at its own pace.
                double drain = BytesPerSecond;
                if (choice.ShouldPack(bytes))
                {
                    Packed++;
                    packing = bytes / Packing;
                    sent = Ratio > 0.875 ? bytes : (int)(bytes * Ratio);
                    choice.Packed(bytes, sent, packing);
                    drain = sent < bytes ? Math.Min(drain, Unpacking * Ratio) : drain;
                }

                Pass(packing, drain);
                double room = Math.Max(0, buffer - _filled);
                double copying = sent / Copying;
                // A writer that finds no room is let go on when a third of the buffer is free.
                double third = Math.Max(1, buffer / 3);
                double sending = Math.Max(copying, Math.Ceiling(Math.Max(0, sent - room) / third) * third / drain);
                _filled += sent;
                Pass(sending, drain);
                choice.Sent(bytes, sent, packing, sending);
            }
        }

        public override string ToString() =>
            FormattableString.Invariant($"link {BytesPerSecond:0}, packing {Packing:0} to {Ratio}, buffer {buffer:0}");

        private void Pass(double seconds, double drain)
        {
            Seconds += seconds;
            _filled = Math.Max(0, _filled - (seconds * drain));
        }
    }
}
