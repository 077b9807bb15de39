using MigrationD.Guest.Machine;

namespace MigrationD.Guest.Tests.Machine;

public sealed class KvmProbeTests
{
    [MachineFact(Needs.Kvm)]
    public void A_host_with_kvm_can_run_guests()
    {
        KvmProbeResult result = KvmProbe.Query();
        Assert.True(result.CanOpen);
        Assert.Equal(12, result.ApiVersion);
        Assert.Empty(result.MissingCapabilities);
        Assert.True(result.IsUsable);
    }

    [Fact]
    public void The_probe_never_throws()
    {
        KvmProbeResult result = KvmProbe.Query();
        Assert.Equal(result.CanOpen, result.OpenError is null);
        Assert.Equal(result.CanOpen, result.OpenMessage is null);
    }
}
