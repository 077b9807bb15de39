using System.Text;
using System.Text.Json;
using Google.Protobuf;
using MigrationD.Daemon.Cli.Client;
using MigrationD.Protocol.V1;

namespace MigrationD.Daemon.Tests.Cli;

/// <summary>What <c>guest console</c> asks for and writes; that the bytes are right is for the end-to-end tests.</summary>
public sealed class ConsoleCommandTests : IAsyncLifetime
{
    private static readonly byte[] EveryByte = [.. Enumerable.Range(0, 256).Select(value => (byte)value)];

    private ScriptedDaemon _daemon = null!;

    public async ValueTask InitializeAsync() => _daemon = await ScriptedDaemon.StartAsync();

    public ValueTask DisposeAsync() => _daemon.DisposeAsync();

    [Fact]
    public async Task Into_a_pipe_every_byte_goes_as_it_is()
    {
        _daemon.Console.Add(Bytes(0, EveryByte));
        var run = await Run(isTerminal: false);
        Assert.Equal((ExitCode.Ok, "", ""), (run.ExitCode, run.Out, run.Error));
        Assert.Equal(EveryByte, run.Bytes);
        Assert.Equal(new ReadConsoleRequest { Name = "web" }, _daemon.ConsoleAsked);
    }

    [Fact]
    public async Task A_terminal_is_shown_escapes_unless_raw_is_asked_for()
    {
        _daemon.Console.Add(Bytes(0, EveryByte));
        var run = await Run(isTerminal: true);
        Assert.Equal(ExitCode.Ok, run.ExitCode);
        Assert.DoesNotContain((byte)0x1B, run.Bytes);
        Assert.Contains("\\x1b", Encoding.UTF8.GetString(run.Bytes), StringComparison.Ordinal);

        Assert.Equal(EveryByte, (await Run(isTerminal: true, "--raw", "--follow")).Bytes);
        Assert.Equal(new ReadConsoleRequest { Name = "web", Follow = true }, _daemon.ConsoleAsked);
    }

    [Fact]
    public async Task What_is_missing_and_where_the_guest_went_is_said_beside_the_bytes()
    {
        _daemon.Console.AddRange([
            Bytes(1000, "a\n"u8.ToArray()),
            new ConsoleChunk { Moved = new ConsoleMove { To = "10.0.0.6:7461", MigrationId = "m1" } },
            Bytes(1002, "b\n"u8.ToArray()),
            Bytes(1010, "c\n"u8.ToArray()),
            Bytes(1004, "d\n"u8.ToArray()),
            new ConsoleChunk { Notice = "an \u001b evil word" },
        ]);
        var run = await Run(isTerminal: false);
        Assert.Equal("a\nb\nc\nd\n", Encoding.UTF8.GetString(run.Bytes));
        Assert.Equal(
            [
                "migrationd: 1,000 bytes that guest web wrote before this are no longer kept",
                "migrationd: guest web went to 10.0.0.6:7461 in migration m1; what follows comes from there",
                "migrationd: 6 bytes that guest web wrote before this are no longer kept",
                "migrationd: guest web goes on as it was at a switchover: the last 8 bytes are void",
                "migrationd: an \\x1b evil word",
                "",
            ],
            run.Error.Split('\n'));
    }

    [Fact]
    public async Task With_json_each_part_is_a_line()
    {
        _daemon.Console.AddRange([Bytes(3, EveryByte), new ConsoleChunk { Offset = 259, Notice = "deleted" }]);
        var run = await Run(isTerminal: false, "--json");
        var lines = Encoding.UTF8.GetString(run.Bytes).Split('\n');
        Assert.Equal(3, lines.Length);
        Assert.Equal(EveryByte, JsonDocument.Parse(lines[0]).RootElement.GetProperty("base64").GetBytesFromBase64());
        Assert.Equal("deleted", JsonDocument.Parse(lines[1]).RootElement.GetProperty("notice").GetString());
    }

    private static ConsoleChunk Bytes(ulong offset, byte[] data) => new() { Offset = offset, Data = ByteString.CopyFrom(data) };

    private Task<CliRun> Run(bool isTerminal, params string[] options) =>
        CliRun.OfAsync(["guest", "console", "web", "--control", _daemon.Socket, .. options], isTerminal: isTerminal);
}
