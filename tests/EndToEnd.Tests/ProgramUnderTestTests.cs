using System.Diagnostics;

namespace MigrationD.EndToEnd.Tests;

/// <summary>Which migrationd tests run.</summary>
public sealed class ProgramUnderTestTests
{
    private static readonly string Beside = Path.Combine(AppContext.BaseDirectory, "migrationd");

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public void ItIsThisTreesBuildUnlessItIsSaid(string? value) => Assert.Equal(Beside, ProgramUnderTest.Choose(value).Start().FileName);

    [Fact]
    public void AnExecutableIsStartedAsItIs() => Assert.Equal("/bin/sh", ProgramUnderTest.Choose("/bin/sh").Start("-c").FileName);

    [Theory]
    [InlineData("migrationd")]
    [InlineData("/nowhere/migrationd")]
    [InlineData("/etc/passwd")]
    public void WhatCannotBeRunIsNamed(string value)
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => ProgramUnderTest.Choose(value));
        Assert.Contains($"MIGRATIOND_TEST_PROGRAM is '{value}'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AnExecutableAndItsAssemblyAreTheSameProgram() =>
        Assert.Equal(await VersionAsync(MigrationdProgram.At(Beside)), await VersionAsync(MigrationdProgram.At($"{Beside}.dll")));

    [Fact]
    public void AFileThatIsNotThereIsNamed()
    {
        FileNotFoundException error = Assert.Throws<FileNotFoundException>(() => MigrationdProgram.At("/nowhere/migrationd"));
        Assert.Contains("/nowhere/migrationd", error.Message, StringComparison.Ordinal);
    }

    private static async Task<string> VersionAsync(MigrationdProgram program)
    {
        using Process process = Process.Start(program.Start("--version"))!;
        process.StandardInput.Close();
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{output}{await error}");
        return output;
    }
}
