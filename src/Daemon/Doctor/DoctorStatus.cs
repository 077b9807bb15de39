namespace MigrationD.Daemon.Doctor;

/// <summary>What a check came to.</summary>
internal enum DoctorStatus
{
    /// <summary>As it should be.</summary>
    Ok = 0,

    /// <summary>Guests can migrate here, but slower or less of them than they could.</summary>
    Warning = 1,

    /// <summary>No guest can migrate here.</summary>
    Missing = 2,
}
