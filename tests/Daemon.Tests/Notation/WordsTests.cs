using MigrationD.Daemon.Notation;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Notation;

public sealed class WordsTests
{
    [Theory]
    [InlineData(MigrationState.PostcopyActive, "postcopy-active")]
    [InlineData(MigrationState.PostcopyPaused, "postcopy-paused")]
    [InlineData(MigrationState.Completed, "completed")]
    public void Migration_states_are_QEMUs_words(MigrationState state, string word) => Assert.Equal(word, Words.Of(state));

    [Fact]
    public void Each_word_stands_for_one_value_again()
    {
        Check<GuestKind>();
        Check<GuestState>();
        Check<WalkPattern>();
        Check<GuestContent>();
        Check<CompressMode>();
        Check<Placement>();
        Check<MigrationState>();
        Check<MigrationRole>();

        static void Check<T>()
            where T : struct, Enum
        {
            var words = Words.Of<T>();
            Assert.DoesNotContain("unspecified", words);
            Assert.Equal(Enum.GetValues<T>().Length - 1, words.Distinct().Count());
            Assert.All(words, word => Assert.Equal(word, Words.Of(Words.Parse<T>(word))));
        }
    }
}
