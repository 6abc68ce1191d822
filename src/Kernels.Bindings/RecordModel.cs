using System.Reflection;
using System.Runtime.CompilerServices;

namespace Kernels.Bindings;

/// <summary>A record of the library that C has as a struct: options, which say their size, and small values.</summary>
/// <param name="Type">The record.</param>
public sealed record RecordModel(Type Type)
{
    /// <summary>Types whose structs are written by hand in Kernels.Native.</summary>
    private static readonly Type[] ByHand =
        [typeof(DropBlockRate), typeof(CrossEntropyTargets), typeof(RandomKeySource), typeof(RandomKey)];

    private static readonly string[] SizedEndings = ["Options", "Settings", "Policy"];

    /// <summary>The struct's name in C#.</summary>
    public string Name => "C" + Type.Name;

    /// <summary>Whether it grows with the library, and so begins with its size.</summary>
    public bool IsSized => SizedEndings.Any(ending => Type.Name.EndsWith(ending, StringComparison.Ordinal));

    /// <summary>What can be set, of base records first.</summary>
    public IReadOnlyList<PropertyInfo> Properties { get; } =
        [.. Type.GetProperties(BindingFlags.Instance | BindingFlags.Public)
            .Where(property => property is { CanRead: true, CanWrite: true } && property.SetMethod!.IsPublic)
            .OrderBy(property => Depth(property.DeclaringType!)).ThenBy(property => property.MetadataToken)];

    /// <summary>A record of parameters is made by them, others by their properties.</summary>
    public bool IsPositional
    {
        get
        {
            ParameterInfo[]? parameters = Type.GetConstructors().MaxBy(c => c.GetParameters().Length)?.GetParameters();
            return parameters is { Length: > 0 } && parameters.Select(p => p.Name).SequenceEqual(Properties.Select(p => p.Name));
        }
    }

    /// <summary>What a caller has who sets nothing.</summary>
    public object Default =>
        Type == typeof(AutoAugmentPolicy) ? AutoAugmentPolicy.RandAugment
        : Type.IsValueType ? RuntimeHelpers.GetUninitializedObject(Type)
        : Activator.CreateInstance(Type)!;

    /// <summary>The record behind a type that is one, and is not written by hand.</summary>
    public static RecordModel? Of(Type type) =>
        type.Assembly == typeof(Device).Assembly && !type.IsEnum && !type.IsGenericType && !ByHand.Contains(type)
            && (type.IsValueType || type.GetMethod("<Clone>$") is not null)
            ? new RecordModel(type)
            : null;

    private static int Depth(Type type) => type.BaseType is { } parent ? 1 + Depth(parent) : 0;
}
