namespace MigrationD.Benchmarks.Peers;

/// <summary>What migrationd needs of what a peer needs, in one run.</summary>
/// <param name="Peer">Who is 1.</param>
internal sealed record Ratios(
    string Peer, double Total, double Downtime, double Blocktime, double FaultMean, double LargestGap, double Lost)
{
    public static Ratios Of(string peer, PeerRun ours, PeerRun theirs) => new(
        peer,
        ours.TotalMilliseconds / theirs.TotalMilliseconds,
        ours.DowntimeMilliseconds / theirs.DowntimeMilliseconds,
        ours.BlocktimeMilliseconds / theirs.BlocktimeMilliseconds,
        ours.FaultMeanMicroseconds / theirs.FaultMeanMicroseconds,
        ours.LargestGapMilliseconds / theirs.LargestGapMilliseconds,
        ours.LostMilliseconds / theirs.LostMilliseconds);
}
