using System.Diagnostics;

namespace MigrationD.EndToEnd.Tests;

/// <summary>Which migrationd tests run.</summary>
public sealed class ProgramUnderTestTests
{
    private static readonly string Beside = Path.Combine(AppContext.BaseDirectory, "migrationd");

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public void It_is_this_trees_build_unless_it_is_said(string? value) => Assert.Equal(Beside, ProgramUnderTest.Choose(value).Start().FileName);

    [Fact]
    public void An_executable_is_started_as_it_is() => Assert.Equal("/bin/sh", ProgramUnderTest.Choose("/bin/sh").Start("-c").FileName);

    [Theory]
    [InlineData("migrationd")]
    [InlineData("/nowhere/migrationd")]
    [InlineData("/etc/passwd")]
    public void What_cannot_be_run_is_named(string value)
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => ProgramUnderTest.Choose(value));
        Assert.Contains($"MIGRATIOND_TEST_PROGRAM is '{value}'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_executable_and_its_assembly_are_the_same_program() =>
        Assert.Equal(await VersionAsync(MigrationdProgram.At(Beside)), await VersionAsync(MigrationdProgram.At($"{Beside}.dll")));

    [Fact]
    public void A_file_that_is_not_there_is_named()
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
