using MigrationD.Guest;
using MigrationD.Guest.Kinds;
using MigrationD.Protocol.Messages;

namespace MigrationD.Daemon.Guests;

/// <summary>Translates between what a guest is here and what travels.</summary>
internal static class GuestMessages
{
    public static Protocol.V1.GuestSpec ToMessage(GuestSpec spec)
    {
        var message = new Protocol.V1.GuestSpec
        {
            Name = spec.Name,
            Kind = (Protocol.V1.GuestKind)spec.Kind,
            MemoryBytes = (ulong)spec.MemoryBytes,
            Vcpus = (uint)spec.Vcpus,
        };
        message.RunPulse(new Protocol.V1.Pulse
        {
            WorkingSetBytes = (ulong)spec.WorkingSetBytes,
            Pattern = (Protocol.V1.WalkPattern)spec.Pattern,
            Content = (Protocol.V1.GuestContent)spec.Content,
        });
        return message;
    }

    public static Protocol.V1.GuestReport ToMessage(GuestReport report) => new()
    {
        Steps = (ulong)report.Steps,
        Sweeps = (ulong)report.Sweeps,
        CorruptPages = (ulong)report.CorruptPages,
        LargestGapUs = (ulong)report.LargestGap.TotalMicroseconds,
    };

    /// <summary>Reads the specification in a request, and checks it.</summary>
    /// <exception cref="Refusal">Invalid with everything that is wrong with it.</exception>
    public static GuestSpec FromMessage(Protocol.V1.GuestSpec? message)
    {
        if (message is null)
        {
            throw new Refusal(Because.Invalid, "the request has no guest specification");
        }

        Protocol.V1.Pulse pulse = message.ReadPulse();
        var spec = new GuestSpec(
            message.Name,
            (GuestKind)message.Kind,
            Saturate(message.MemoryBytes),
            (int)Math.Min(message.Vcpus, int.MaxValue),
            Saturate(pulse.WorkingSetBytes),
            (WalkPattern)pulse.Pattern)
        {
            Content = pulse.Content == Protocol.V1.GuestContent.Unspecified ? GuestContent.Random : (GuestContent)pulse.Content,
        };
        IReadOnlyList<string> wrong = GuestFactory.Validate(spec);
        return wrong.Count == 0 ? spec : throw new Refusal(Because.Invalid, $"guest '{message.Name}': {string.Join("; ", wrong)}");
    }

    private static long Saturate(ulong value) => (long)Math.Min(value, long.MaxValue);
}
