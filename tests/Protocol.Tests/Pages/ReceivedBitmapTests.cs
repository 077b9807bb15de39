using FsCheck;
using FsCheck.Fluent;
using Google.Protobuf;
using MigrationD.Protocol.Pages;

namespace MigrationD.Protocol.Tests.Pages;

/// <summary>The received bitmap, there and back, and what is refused on the way.</summary>
public sealed class ReceivedBitmapTests
{
    [Fact]
    public void What_is_packed_is_unpacked()
    {
        Gen<byte[]> bitmaps = from words in Gen.Choose(1, 64)
                              from bytes in Gen.Choose(0, 255).Select(value => (byte)value).ArrayOf(words * 8)
                              select bytes;
        Prop.ForAll(bitmaps.ToArbitrary(), bitmap =>
            ReceivedBitmap.Unpack(ReceivedBitmap.Pack(bitmap), bitmap.Length * 8).AsSpan().SequenceEqual(bitmap))
            .QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Runs_of_pages_travel_as_next_to_nothing()
    {
        byte[] bitmap = new byte[8 * 1024 * 1024];
        bitmap.AsSpan(1_000_000, 2_000_000).Fill(0xff);
        Assert.InRange(ReceivedBitmap.Pack(bitmap).Length, 1, 100_000);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(9)]
    [InlineData(0)]
    public void Another_length_is_refused(int bytes)
    {
        ByteString packed = ReceivedBitmap.Pack(new byte[bytes]);
        Assert.Throws<InvalidDataException>(() => ReceivedBitmap.Unpack(packed, 64));
    }

    [Fact]
    public void A_page_that_the_guest_does_not_have_is_refused()
    {
        ByteString packed = ReceivedBitmap.Pack([0, 0, 0, 0, 0, 0, 0, 0x80]);
        Assert.Throws<InvalidDataException>(() => ReceivedBitmap.Unpack(packed, 63));
        Assert.Equal(0x80, ReceivedBitmap.Unpack(packed, 64)[7]);
    }

    [Fact]
    public void What_is_not_deflated_is_refused() =>
        Assert.Throws<InvalidDataException>(() => ReceivedBitmap.Unpack(ByteString.CopyFrom(0xff, 0xff, 0xff), 64));

    [Fact]
    public void A_bomb_is_not_unpacked()
    {
        // 64 MiB of zeros in some 64 KiB: only what the guest's pages need is ever unpacked.
        ByteString packed = ReceivedBitmap.Pack(new byte[64 * 1024 * 1024]);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<InvalidDataException>(() => ReceivedBitmap.Unpack(packed, 64));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1024 * 1024);
    }
}
