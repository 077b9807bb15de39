using MigrationD.Daemon.Source.Push;
using MigrationD.Guest.Memory;

namespace MigrationD.Daemon.Tests.Source.Push;

public sealed class ReleasedMemoryTests : IDisposable
{
    private const int Blocks = 4;

    private readonly GuestMemory _memory = GuestMemory.Map(Blocks * GuestPage.BlockSize);

    public ReleasedMemoryTests()
    {
        for (int block = 0; block < Blocks; block++)
        {
            _memory.Write(block * GuestPage.BlockSize, [1, 2, 3]);
        }
    }

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void What_is_confirmed_is_given_back_and_nothing_else()
    {
        var released = new ReleasedMemory(_memory);
        released.Confirm(1, 2);
        Assert.Equal(0, released.Bytes);
        Assert.Equal([1, 1, 1, 1], FirstBytes());

        released.Release();
        released.Confirm(2, 1);
        released.Release();
        Assert.Equal(2 * GuestPage.BlockSize, released.Bytes);
        Assert.Equal([1, 0, 0, 1], FirstBytes());
        Assert.Equal([false, true, true, false], Enumerable.Range(0, Blocks).Select(block => released.Has(block)));
    }

    [Fact]
    public void Memory_that_is_whole_can_be_kept_and_is_kept_from_then_on()
    {
        var released = new ReleasedMemory(_memory);
        released.Confirm(0, Blocks);
        Assert.True(released.TryKeep());
        released.Release();
        Assert.Equal([1, 1, 1, 1], FirstBytes());
        Assert.True(released.TryKeep());
    }

    [Fact]
    public void Memory_that_is_not_whole_cannot_be_kept_and_goes_on_being_given_back()
    {
        var released = new ReleasedMemory(_memory);
        released.Confirm(0, 1);
        released.Release();
        Assert.False(released.TryKeep());
        released.Confirm(3, 1);
        released.Release();
        Assert.Equal([0, 1, 1, 0], FirstBytes());
    }

    private byte[] FirstBytes() => [.. Enumerable.Range(0, Blocks).Select(block =>
    {
        byte[] first = new byte[1];
        _memory.Read(block * GuestPage.BlockSize, first);
        return first[0];
    })];
}
