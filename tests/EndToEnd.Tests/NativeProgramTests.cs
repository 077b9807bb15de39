using System.Diagnostics;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Reflection.V1;
using MigrationD.EndToEnd.Tests.Security;
using MigrationD.Protocol.Calls;
using MigrationD.Protocol.V1;
using MigrationD.TestSupport;

namespace MigrationD.EndToEnd.Tests;

/// <summary>The program that is shipped, whatever program the other tests run: native code, beside what a working tree builds.</summary>
public sealed class NativeProgramTests : IDisposable
{
    private const Needs Host = Needs.Userfaultfd | Needs.NativeCode;

    private readonly Authority _authority = new();

    public void Dispose() => _authority.Dispose();

    [MachineTheory(Host | Needs.Kvm)]
    [InlineData("kvm", MigrationMode.Postcopy)]
    [InlineData("kvm", MigrationMode.Precopy)]
    [InlineData("kvm", MigrationMode.Hybrid)]
    [InlineData("workload", MigrationMode.Postcopy)]
    [InlineData("workload", MigrationMode.Precopy)]
    [InlineData("workload", MigrationMode.Hybrid)]
    public async Task A_guest_moves_to_it_and_back_over_TLS(string kind, MigrationMode mode)
    {
        await using DaemonProcess compiled = await StartAsync(MigrationdProgram.OfThisTree, "compiled");
        await using DaemonProcess native = await StartAsync(await NativeProgram.GetAsync(), "native");
        await compiled.CreateGuestAsync("g", kind, "64MiB", "40MiB");

        await MoveAsync(compiled, native);
        await native.GuestIsWellAsync("g");
        await MoveAsync(native, compiled);
        await compiled.GuestIsWellAsync("g");

        async Task MoveAsync(DaemonProcess source, DaemonProcess destination)
        {
            MigrateRequest order = DaemonProcess.Order("g", destination.Listen, mode);
            // A guest that writes faster than its memory goes over stands still for the last of it.
            order.MaxRounds = 3;
            order.TimeoutStrategy = TimeoutStrategy.Continue;
            Migration moved = await source.MigrateAsync(order, destination);
            Assert.Equal(mode, moved.Mode);
        }
    }

    [MachineFact(Host)]
    public async Task It_says_what_it_serves_to_clients_without_a_proto_file()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync(await NativeProgram.GetAsync(), "native", _ => { });
        await SaysWhatItServesAsync($"unix:{daemon.Control}", "migrationd.v1.Control");
        await SaysWhatItServesAsync(daemon.Listen, "migrationd.v1.Transport");
    }

    [MachineFact(Host)]
    public async Task Its_commands_and_its_demo_work()
    {
        MigrationdProgram native = await NativeProgram.GetAsync();
        Assert.True(native.IsNative);
        Assert.Equal((await RunAsync(MigrationdProgram.OfThisTree, "--help")).Output, (await RunAsync(native, "--help")).Output);
        Assert.Equal(
            (await RunAsync(MigrationdProgram.OfThisTree, "completion", "bash")).Output,
            (await RunAsync(native, "completion", "bash")).Output);
        string demo = (await RunAsync(native, "demo", "--guest", "workload", "--memory", "32MiB")).Output;
        Assert.EndsWith("verdict: ok", demo.TrimEnd(), StringComparison.Ordinal);
    }

    [MachineFact(Host)]
    public async Task It_may_have_as_many_descriptors_as_its_host_permits()
    {
        await using DaemonProcess daemon = await DaemonProcess.StartAsync(await NativeProgram.GetAsync(), "native", Lower);
        string limit = (await File.ReadAllLinesAsync($"/proc/{daemon.ProcessId}/limits"))
            .Single(line => line.StartsWith("Max open files", StringComparison.Ordinal));
        string[] values = limit["Max open files".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(values[1], values[0]);
        Assert.NotEqual("64", values[0]);

        // As by a shell whose soft limit is lower than its hard one.
        static void Lower(ProcessStartInfo start)
        {
            string[] command = [start.FileName, .. start.ArgumentList];
            start.FileName = "/bin/sh";
            start.ArgumentList.Clear();
            foreach (string argument in (string[])["-c", "ulimit -S -n 64 && exec \"$0\" \"$@\"", .. command])
            {
                start.ArgumentList.Add(argument);
            }
        }
    }

    [MachineFact(Host)]
    public async Task It_ends_in_order()
    {
        const int HangUp = 1;
        await using DaemonProcess daemon = await DaemonProcess.StartAsync(await NativeProgram.GetAsync(), "native", _ => { });
        daemon.Signal(HangUp);
        await daemon.LogUntilAsync("are read anew");
        Assert.Equal(0, await daemon.StopAsync());
    }

    private Task<DaemonProcess> StartAsync(MigrationdProgram program, string node) =>
        DaemonProcess.StartAsync(program, node, _ => { }, "--tls", _authority.Issue(node, "127.0.0.1"));

    /// <summary>Asserts that reflection lists the services and gives their descriptors, and that the server says that it is well.</summary>
    private static async Task SaysWhatItServesAsync(string target, string service)
    {
        using CallChannel channel = CallChannel.Connect(target);
        HealthCheckResponse health = await new Grpc.Health.V1.Health.HealthClient(channel.Invoker).CheckAsync(
            new HealthCheckRequest { Service = service }, deadline: DateTime.UtcNow.AddMinutes(1));
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, health.Status);

        using AsyncDuplexStreamingCall<ServerReflectionRequest, ServerReflectionResponse> call =
            new ServerReflection.ServerReflectionClient(channel.Invoker).ServerReflectionInfo(deadline: DateTime.UtcNow.AddMinutes(1));
        ServerReflectionResponse list = await AskAsync(new ServerReflectionRequest { ListServices = "" });
        Assert.Contains(list.ListServicesResponse.Service, one => one.Name == service);
        Assert.Contains(list.ListServicesResponse.Service, one => one.Name == "grpc.health.v1.Health");
        foreach (ServiceResponse one in list.ListServicesResponse.Service)
        {
            ServerReflectionResponse file = await AskAsync(new ServerReflectionRequest { FileContainingSymbol = one.Name });
            Assert.True(file.FileDescriptorResponse is not null, $"{one.Name}: {file}");

            // Each file comes before those that it imports.
            IEnumerable<ByteString> files = file.FileDescriptorResponse.FileDescriptorProto.Reverse();
            Assert.Contains(
                FileDescriptor.BuildFromByteStrings(files).SelectMany(descriptor => descriptor.Services),
                described => described.FullName == one.Name);
        }

        await call.RequestStream.CompleteAsync();

        async Task<ServerReflectionResponse> AskAsync(ServerReflectionRequest request)
        {
            await call.RequestStream.WriteAsync(request);
            Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
            return call.ResponseStream.Current;
        }
    }

    private static async Task<CommandResult> RunAsync(MigrationdProgram program, params string[] arguments)
    {
        using Process process = Process.Start(program.Start(arguments))!;
        process.StandardInput.Close();
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return new CommandResult($"migrationd {string.Join(' ', arguments)}", process.ExitCode, output, await error).Succeeds();
    }
}
