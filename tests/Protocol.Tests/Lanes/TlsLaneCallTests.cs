namespace MigrationD.Protocol.Tests.Lanes;

/// <summary>The same calls over TLS, with certificates on both sides.</summary>
public sealed class TlsLaneCallTests : LaneCallTests, IDisposable
{
    private readonly TestAuthority _authority;

    public TlsLaneCallTests()
        : this(new TestAuthority())
    {
    }

    private TlsLaneCallTests(TestAuthority authority)
        : base(authority.Tls()) => _authority = authority;

    public void Dispose() => _authority.Dispose();
}
