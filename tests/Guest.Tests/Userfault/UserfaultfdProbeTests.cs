namespace MigrationD.Guest.Tests.Userfault;

public sealed class UserfaultfdProbeTests
{
    [MachineFact(Needs.Userfaultfd)]
    public void A_machine_that_runs_these_tests_has_what_migration_needs()
    {
        UserfaultfdSupport support = UserfaultfdProbe.Query();

        Assert.Equal(Errno.None, support.Device);
        Assert.True(support.CanOpen);
        Assert.True(support.HasMove);
        Assert.True(support.HasThreadId);
    }

    [MachineFact(Needs.Userfaultfd)]
    public void A_feature_that_no_kernel_has_is_named_with_the_remedy()
    {
        const UserfaultfdFeatures Unheard = (UserfaultfdFeatures)(1ul << 62);

        var error = Assert.Throws<UserfaultfdException>(() => Userfaultfd.Open(Unheard | UserfaultfdFeatures.ThreadId));

        Assert.Contains($"lacks {Unheard}", error.Message, StringComparison.Ordinal);
        Assert.Contains("EINVAL", error.Message, StringComparison.Ordinal);
        Assert.True(error.Support.HasThreadId);
    }

    [Fact]
    public void When_neither_way_opens_the_message_names_both_and_the_remedy()
    {
        var error = UserfaultfdException.CannotOpen(Errno.EACCES, Errno.EPERM);

        Assert.Contains("/dev/userfaultfd: EACCES (13)", error.Message, StringComparison.Ordinal);
        Assert.Contains("userfaultfd(2): EPERM (1)", error.Message, StringComparison.Ordinal);
        Assert.Contains("vm.unprivileged_userfaultfd=1", error.Message, StringComparison.Ordinal);
        Assert.False(error.Support.CanOpen);
    }
}
