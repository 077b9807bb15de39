using FsCheck;
using FsCheck.Fluent;
using MigrationD.Guest.Platform;

namespace MigrationD.Guest.Tests.Platform;

public sealed class AddressMapTests
{
    [Fact]
    public void Every_byte_of_RAM_is_in_one_piece_at_its_physical_address()
    {
        Gen<(long Bytes, long Offset)> machines =
            from blocks in Gen.Choose(1, (int)(AddressMap.MaxMemory / GuestPage.BlockSize))
            let bytes = (long)blocks * GuestPage.BlockSize
            from part in Gen.Choose(0, int.MaxValue - 1)
            select (bytes, (long)((Int128)bytes * part / int.MaxValue));
        Prop.ForAll(machines.ToArbitrary(), one =>
        {
            IReadOnlyList<RamPiece> pieces = AddressMap.PiecesOf(one.Bytes);
            RamPiece piece = pieces.Single(piece => one.Offset >= piece.Offset && one.Offset < piece.Offset + piece.Length);
            return pieces.Sum(each => each.Length) == one.Bytes
                && piece.PhysicalAddress + (one.Offset - piece.Offset) == AddressMap.PhysicalAddress(one.Offset);
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData(2L << 20)]
    [InlineData(AddressMap.HoleStart)]
    [InlineData(AddressMap.HoleStart + (2L << 20))]
    [InlineData(AddressMap.MaxMemory)]
    public void No_piece_reaches_into_the_hole(long bytes) => Assert.All(AddressMap.PiecesOf(bytes), piece => Assert.True(
        piece.PhysicalAddress + piece.Length <= AddressMap.HoleStart || piece.PhysicalAddress >= AddressMap.HoleEnd, piece.ToString()));
}
