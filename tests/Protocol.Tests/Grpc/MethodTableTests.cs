using System.Reflection;
using Google.Protobuf.Reflection;
using MigrationD.Protocol.Grpc;
using MigrationD.Protocol.V1;

namespace MigrationD.Protocol.Tests.Grpc;

/// <summary>The tables of methods say what the .proto files say.</summary>
public sealed class MethodTableTests
{
    [Fact]
    public void Control_is_complete() => AssertSame(typeof(ControlMethods), ControlReflection.Descriptor, "Control");

    [Fact]
    public void Transport_is_complete() => AssertSame(typeof(TransportMethods), TransportReflection.Descriptor, "Transport");

    private static void AssertSame(Type table, FileDescriptor file, string service)
    {
        IEnumerable<string> declared = file.Services.Single(one => one.Name == service).Methods.Select(method =>
        {
            Assert.False(method.IsClientStreaming, $"{method.FullName} streams requests, which this layer has no call for.");
            return Describe(
                method.Service.FullName, method.Name, method.InputType.ClrType, method.OutputType.ClrType, method.IsServerStreaming);
        });
        IEnumerable<string> listed = table.GetFields(BindingFlags.Public | BindingFlags.Static).Select(field =>
        {
            object method = field.GetValue(null)!;
            Type[] messages = method.GetType().GetGenericArguments();
            Assert.Equal(field.Name, Read<string>(method, "Name"));
            string name = Read<string>(method, "Name");
            Assert.Equal($"/{Read<string>(method, "Service")}/{name}", Read<string>(method, "Path"));
            return Describe(Read<string>(method, "Service"), name, messages[0], messages[1], Read<bool>(method, "ServerStreaming"));
        });

        Assert.Equal(declared.Order(), listed.Order());
    }

    private static string Describe(string service, string name, Type request, Type response, bool streaming) =>
        $"{service}.{name}({request.FullName}) returns {(streaming ? "stream " : "")}{response.FullName}";

    private static T Read<T>(object method, string property) => (T)method.GetType().GetProperty(property)!.GetValue(method)!;
}
