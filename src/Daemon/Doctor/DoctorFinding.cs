namespace MigrationD.Daemon.Doctor;

/// <summary>What one check found.</summary>
/// <param name="Name">What was looked at.</param>
/// <param name="Status">How it stands.</param>
/// <param name="Found">What was found, as a person reads it.</param>
/// <param name="Remedy">The command or setting that mends it; null when there is nothing to mend.</param>
internal sealed record DoctorFinding(string Name, DoctorStatus Status, string Found, string? Remedy = null);
