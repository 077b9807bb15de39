using MigrationD.Protocol.V1;

namespace MigrationD.Protocol.Messages;

/// <summary>
/// What a guest runs, which its specification says twice: in <c>program</c>, and in the fields that said it when there was only one
/// program. Peers from then know no other fields.
/// </summary>
public static class GuestPrograms
{
    /// <summary>Says that a guest runs the built-in program, to peers of any age.</summary>
    public static void RunPulse(this GuestSpec spec, Pulse pulse)
    {
        spec.Pulse = pulse;
        spec.WorkingSetBytes = pulse.WorkingSetBytes;
        spec.Pattern = pulse.Pattern;
        spec.Content = pulse.Content;
    }

    /// <summary>The built-in program, as a peer of any age said it.</summary>
    public static Pulse ReadPulse(this GuestSpec spec) =>
        spec.Pulse ?? new Pulse { WorkingSetBytes = spec.WorkingSetBytes, Pattern = spec.Pattern, Content = spec.Content };
}
