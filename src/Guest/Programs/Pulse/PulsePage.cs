namespace MigrationD.Guest.Programs.Pulse;

/// <summary>
/// The content of one page of the working set: a function of the page's index and version, so that a page that is lost, torn,
/// stale or somebody else's can be told from the right one.
/// </summary>
/// <remarks>
/// <para>512 words of 64 bits, little endian: word 0 is the index, word 1 the version, words 2 to 510 the content, word 511 the
/// checksum of all words before it. Version 0 is a page that nobody has written yet: all zeros.</para>
/// <para>The content is <c>seed + i * step</c> with a seed made of index and version, and a step that the guest's content says. The
/// checksum is FNV-1a over words instead of bytes: every step maps its input one to one, so a change within one word always changes the
/// sum. The KVM guest computes the same in machine code (<see cref="PulseCode"/>).</para>
/// </remarks>
internal static class PulsePage
{
    public const int Words = GuestPage.Size / sizeof(ulong);
    public const int ChecksumWord = Words - 1;
    public const int FirstContentWord = 2;

    // Odd, so that different indexes and versions give different seeds: the fractions of the square roots of 2 and 3, in 64 bits.
    public const ulong IndexFactor = 0x6A09E667F3BCC909;
    public const ulong VersionFactor = 0xBB67AE8584CAA73B;

    // 2^64 divided by the golden ratio: changes every byte of the word from one word to the next.
    public const ulong Golden = 0x9E3779B97F4A7C15;

    // FNV-1a's offset basis and prime for 64 bits.
    public const ulong ChecksumStart = 0xCBF29CE484222325;
    public const ulong ChecksumPrime = 0x00000100000001B3;

    /// <summary>Writes the page of the working set that has this index and was written so often; version 0 gives zeros.</summary>
    public static void Fill(Span<ulong> page, ulong index, ulong version, GuestContent kind = GuestContent.Random)
    {
        CheckLength(page);
        if (version == 0)
        {
            page.Clear();
            return;
        }

        page[0] = index;
        page[1] = version;
        ulong checksum = Mix(Mix(ChecksumStart, index), version);
        ulong content = FirstContent(index, version);
        ulong step = Step(kind);
        for (int word = FirstContentWord; word < ChecksumWord; word++)
        {
            page[word] = content;
            checksum = Mix(checksum, content);
            content += step;
        }

        page[ChecksumWord] = checksum;
    }

    /// <summary>
    /// Whether a page is, bit for bit, the one that has this index and this version of the version table, its checksum included.
    /// </summary>
    public static bool IsIntact(ReadOnlySpan<ulong> page, ulong index, ulong version, GuestContent kind = GuestContent.Random)
    {
        CheckLength(page);
        if (version == 0)
        {
            return page.IndexOfAnyExcept(0UL) < 0;
        }

        ulong difference = (page[0] ^ index) | (page[1] ^ version);
        ulong checksum = Mix(Mix(ChecksumStart, page[0]), page[1]);
        ulong content = FirstContent(index, version);
        ulong step = Step(kind);
        for (int word = FirstContentWord; word < ChecksumWord; word++)
        {
            difference |= page[word] ^ content;
            checksum = Mix(checksum, page[word]);
            content += step;
        }

        return (difference | (page[ChecksumWord] ^ checksum)) == 0;
    }

    /// <summary>The difference of one word of the content to the next.</summary>
    public static ulong Step(GuestContent kind) => kind == GuestContent.Counting ? 1 : Golden;

    public static ulong FirstContent(ulong index, ulong version) =>
        unchecked((index * IndexFactor) + (version * VersionFactor) + (FirstContentWord * Golden));

    private static ulong Mix(ulong checksum, ulong word) => unchecked((checksum ^ word) * ChecksumPrime);

    private static void CheckLength(ReadOnlySpan<ulong> page)
    {
        if (page.Length != Words)
        {
            throw new ArgumentException($"a page has {Words} words, not {page.Length}", nameof(page));
        }
    }
}
