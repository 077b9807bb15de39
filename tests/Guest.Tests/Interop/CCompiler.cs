using System.Diagnostics;

namespace MigrationD.Guest.Tests.Interop;

/// <summary>This host's C compiler, for what its headers say.</summary>
internal static class CCompiler
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>What the compiler finds wrong with a source; empty when it finds nothing.</summary>
    /// <param name="source">The source, which is not compiled further than that.</param>
    /// <param name="options">More options.</param>
    public static string Errors(string source, params string[] options)
    {
        using Process compiler = Process.Start(new ProcessStartInfo("cc", ["-fsyntax-only", "-std=gnu11", .. options, "-x", "c", "-"])
        {
            RedirectStandardInput = true,
            RedirectStandardError = true,
        })!;
        Task<string> errors = compiler.StandardError.ReadToEndAsync();
        compiler.StandardInput.Write(source);
        compiler.StandardInput.Close();
        if (!compiler.WaitForExit(Patience))
        {
            compiler.Kill();
            Assert.Fail("cc did not end in time");
        }

        string text = errors.Result;
        return compiler.ExitCode == 0 ? "" : $"cc ended with {compiler.ExitCode}: {text}";
    }
}
