using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace MigrationD.Guest.Tests.Interop;

/// <summary>What this project says of the kernel's interface, asserted in C after the headers that have the truth.</summary>
internal sealed unsafe class CAssertions(string headers, params string[] options)
{
    private readonly StringBuilder _source = new(headers);

    public void That(string condition, string what) => _source.AppendLine($"_Static_assert({condition}, \"{what}\");");

    /// <summary>Asserts the size of a structure, and where in it which fields are, and of which size.</summary>
    public void Structure<T>(string name, params (string C, string Ours)[] fields)
        where T : unmanaged
    {
        That($"sizeof({name}) == {sizeof(T)}", $"size of {name}");
        foreach ((string c, string ours) in fields)
        {
            int size = RuntimeHelpers.SizeOf(typeof(T).GetField(ours)!.FieldType.TypeHandle);
            That($"offsetof({name}, {c}) == {Marshal.OffsetOf<T>(ours)}", $"{name}.{c}");
            That($"sizeof((({name} *)0)->{c}) == {size}", $"size of {name}.{c}");
        }
    }

    public string Errors() => CCompiler.Errors(_source.ToString(), options);
}
