namespace MigrationD.Daemon.Doctor;

/// <summary>Looks at one thing of this host that migrations need.</summary>
internal interface IDoctorCheck
{
    /// <summary>Looks. Never throws for what the host lacks: that is a finding.</summary>
    DoctorFinding Run();
}
