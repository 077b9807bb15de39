using System.Net;
using FsCheck;
using FsCheck.Fluent;
using MigrationD.Protocol.Calls;

namespace MigrationD.Protocol.Tests.Calls;

public sealed class HostAndPortTests
{
    private static readonly Gen<string> Hosts = Gen.OneOf(
        Gen.Elements("", "localhost", "host-b.lan", "a b", "1"),
        from bytes in ArbMap.Default.GeneratorFor<byte>().ArrayOf(4)
        select new IPAddress(bytes).ToString(),
        from bytes in ArbMap.Default.GeneratorFor<byte>().ArrayOf(16)
        select new IPAddress(bytes).ToString());

    [Fact]
    public void What_is_written_is_taken_apart_again()
    {
        var addresses = from host in Hosts
                        from port in Gen.Choose(0, 65535)
                        select new HostAndPort(host, port);

        Prop.ForAll(addresses.ToArbitrary(), written =>
            HostAndPort.TrySplit(written.ToString(), out HostAndPort? read) && read == written).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void What_is_taken_apart_was_written_so_up_to_zeros_before_the_port()
    {
        // Of the characters that mean something here, so that some of it is an address.
        var texts = from characters in Gen.Elements('[', ']', ':', '1', '0', 'a', '.', '-', ' ', '+', '%', '/').ListOf()
                    select string.Concat(characters);

        Prop.ForAll(texts.ToArbitrary(), text =>
        {
            if (!HostAndPort.TrySplit(text, out HostAndPort? read))
            {
                return true;
            }

            int port = text.LastIndexOf(':') + 1;
            return read.ToString() == text[..port] + text[port..].TrimStart('0').PadLeft(1, '0')
                && !read.Host.AsSpan().ContainsAny('[', ']') && read.Port is >= 0 and <= 65535;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void What_can_be_dialled_has_a_host_and_a_port()
    {
        var addresses = from host in Hosts
                        from port in Gen.Elements(0, 1, 7461, 65535)
                        select new HostAndPort(host, port);

        Prop.ForAll(addresses.ToArbitrary(), written =>
            HostAndPort.TryParse(written.ToString(), out HostAndPort? read) == (written.Port > 0 && written.Host is not ("" or "a b"))
            && (read is null || read == written)).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData("")]
    [InlineData("7461")]
    [InlineData("host")]
    [InlineData("host:")]
    [InlineData("host: 1")]
    [InlineData("host:+1")]
    [InlineData("host:-1")]
    [InlineData("host:1 ")]
    [InlineData("host:65536")]
    [InlineData("host:99999999999")]
    [InlineData(": 7462")]
    [InlineData("::1:7461")]
    [InlineData("[]:7461")]
    [InlineData("[:7461")]
    [InlineData("[::1:7461")]
    [InlineData("::1]:7461")]
    [InlineData("[[::1]]:7461")]
    [InlineData("[::1]")]
    [InlineData("[::1]:80:7461")]
    [InlineData("[::1/64]:7461")]
    [InlineData("[host]:7461")]
    [InlineData("[127.0.0.1]:7461")]
    public void Anything_else_is_no_address(string text)
    {
        Assert.False(HostAndPort.TrySplit(text, out HostAndPort? address));
        Assert.Null(address);
        Assert.False(HostAndPort.TryParse(text, out address));
        Assert.Null(address);
    }
}
