using System.Security.Cryptography.X509Certificates;

namespace MigrationD.Daemon.Security;

/// <summary>Names of peers that are let in; an empty list lets in all that the authority has given certificates.</summary>
internal sealed class PeerList(IReadOnlyCollection<string> names, string option)
{
    /// <summary>Why the bearer of this certificate is not on the list, or null.</summary>
    public string? Refuse(X509Certificate2 certificate)
    {
        if (names.Count == 0)
        {
            return null;
        }

        string[] shown = Names(certificate);
        return shown.Any(name => names.Contains(name, StringComparer.OrdinalIgnoreCase))
            ? null
            : $"none of its names ({(shown.Length == 0 ? "it has none" : string.Join(", ", shown))}) is in {option} here";
    }

    /// <summary>The DNS names that the certificate is for.</summary>
    public static string[] Names(X509Certificate2 certificate) =>
        [.. certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().SelectMany(extension => extension.EnumerateDnsNames())];
}
