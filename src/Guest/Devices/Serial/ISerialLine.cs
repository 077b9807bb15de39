namespace MigrationD.Guest.Devices.Serial;

/// <summary>What a serial port's line leads to.</summary>
internal interface ISerialLine
{
    /// <summary>A byte goes out on the line. Called on the thread of the vCPU that wrote it, by several at a time.</summary>
    void Send(int vcpu, byte value);
}
