using Grpc.AspNetCore.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace MigrationD.Protocol.Calls;

/// <summary>What every server of calls here has in common: what its handlers may throw, and how its streams end.</summary>
public static class CallServer
{
    /// <summary>Adds gRPC; services are then mapped with <c>MapGrpcService</c>.</summary>
    public static IServiceCollection AddCalls(this IServiceCollection services)
    {
        services.AddSingleton<HandlerRefusals>();
        services.AddGrpc(static options =>
        {
            options.MaxReceiveMessageSize = CallLimits.MaxMessageBytes;
            options.Interceptors.Add<HandlerRefusals>();
        });
        // The limit on messages is one on what they have packed: a little of it unpacks to more than the host has. The packings are taken
        // away after the library has put them there, which it does where there are none.
        services.PostConfigure<GrpcServiceOptions>(static options => options.CompressionProviders.Clear());
        return services;
    }

    /// <summary>Lets streams end with their server. To be called before services are mapped.</summary>
    public static IApplicationBuilder UseCalls(this IApplicationBuilder application) =>
        application.UseRouting().Use(EndOfStreams.InvokeAsync);
}
