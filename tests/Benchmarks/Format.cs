using System.Globalization;

namespace MigrationD.Benchmarks;

/// <summary>Figures as tables show them.</summary>
internal static class Format
{
    /// <summary>With as many decimals as three digits need, at most two.</summary>
    public static string Number(double value)
    {
        string format = Math.Abs(value) switch
        {
            >= 100 => "0",
            >= 10 => "0.0",
            _ => "0.00",
        };
        return value.ToString(format, CultureInfo.InvariantCulture);
    }

    public static string Whole(double value) => value.ToString("0", CultureInfo.InvariantCulture);

    public static string Percent(double share) => $"{(share * 100).ToString("0.#", CultureInfo.InvariantCulture)} %";

    public static string Bytes(double bytes) => bytes switch
    {
        >= 1 << 30 => $"{(bytes / (1 << 30)).ToString("0.##", CultureInfo.InvariantCulture)} GiB",
        >= 1 << 20 => $"{(bytes / (1 << 20)).ToString("0.##", CultureInfo.InvariantCulture)} MiB",
        _ => $"{(bytes / 1024).ToString("0.#", CultureInfo.InvariantCulture)} KiB",
    };
}
