namespace MigrationD.Guest.Tests.Memory;

public sealed class GuestMemoryTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(-GuestPage.BlockSize)]
    [InlineData(GuestPage.BlockSize + GuestPage.Size)]
    public void Lengths_that_are_no_positive_multiple_of_a_block_are_refused(long length) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => GuestMemory.Map(length));

    [Fact]
    public void It_is_aligned_empty_and_reads_what_was_written()
    {
        using GuestMemory memory = GuestMemory.Map(2 * GuestPage.BlockSize);
        Assert.Equal(0, memory.Address % GuestPage.BlockSize);
        Assert.Equal((1024, 2), (memory.PageCount, memory.BlockCount));
        byte[] read = new byte[GuestPage.Size + 10];
        memory.Read(GuestPage.BlockSize - 5, read);
        Assert.Equal(-1, read.AsSpan().IndexOfAnyExcept((byte)0));

        byte[] written = [.. Enumerable.Range(0, read.Length).Select(i => (byte)(i * 7))];
        memory.Write(GuestPage.BlockSize - 5, written);
        memory.Read(GuestPage.BlockSize - 5, read);
        Assert.Equal(written, read);
    }

    [Fact]
    public void Ranges_outside_are_refused()
    {
        using GuestMemory memory = GuestMemory.Map(GuestPage.BlockSize);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Read(-1, new byte[1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Read(GuestPage.BlockSize, new byte[1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Write(GuestPage.BlockSize - 1, new byte[2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Write(long.MaxValue, new byte[2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.AddressOf(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.AddressOf(512));
        Assert.Equal(memory.Address + (511 * GuestPage.Size), memory.AddressOf(511));
    }

    [Fact]
    public void After_Dispose_nothing_is_read_or_written()
    {
        GuestMemory memory = GuestMemory.Map(GuestPage.BlockSize);
        memory.Dispose();
        memory.Dispose();
        Assert.Throws<ObjectDisposedException>(() => memory.Read(0, new byte[1]));
        Assert.Throws<ObjectDisposedException>(() => memory.Write(0, new byte[1]));
        Assert.Throws<ObjectDisposedException>(() => memory.AddressOf(0));
    }
}
