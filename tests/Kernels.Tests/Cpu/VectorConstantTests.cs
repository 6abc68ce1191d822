using System.Reflection;
using System.Runtime.Intrinsics;
using Xunit;

namespace Kernels.Tests.Cpu;

/// <summary>
/// Constants of vector loops. Code compiled ahead of time asks before each use of a static field whether it was set, and for that call
/// every vector leaves its register; a property that creates the vector is a constant to both compilers.
/// </summary>
public sealed class VectorConstantTests
{
    [Fact]
    public void NoStaticFieldIsAVector()
    {
        const BindingFlags Static = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        IEnumerable<FieldInfo> fields = typeof(Device).Assembly.GetTypes().SelectMany(type => type.GetFields(Static))
            .Where(field => field is { IsLiteral: false } && field.FieldType.Namespace == typeof(Vector512).Namespace);
        Assert.Empty(fields.Select(field => $"{field.DeclaringType}.{field.Name}"));
    }
}
