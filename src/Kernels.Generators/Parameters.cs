namespace Kernels.Generators;

/// <summary>What the host binds to a parameter, or to several.</summary>
internal enum FieldKind
{
    /// <summary><c>GLOBAL scalar* x, u64 x_offset</c>.</summary>
    Tensor,

    /// <summary><c>u64 count</c>.</summary>
    UInt64,

    /// <summary><c>u32 threshold</c>.</summary>
    UInt32,

    /// <summary><c>real scale</c>.</summary>
    Real,

    /// <summary><c>KEY_PARAMETERS</c>: parameters that several lists share, as a record within the record.</summary>
    List,
}

/// <summary>A field of a record. The name is the parameter's: <c>drop_scale</c>, or <c>key</c> for <c>KEY_PARAMETERS</c>.</summary>
internal sealed record Field(FieldKind Kind, string Name)
{
    public string PropertyName => Names.Pascal(Name);
}

/// <summary>A parameter list, which becomes a record: that of a kernel, or the meaning of a macro <c>NAME_PARAMETERS</c>.</summary>
internal sealed record ParameterList(string Name, EquatableArray<Field> Fields)
{
    public string RecordName => Names.Record(Name);
}

/// <summary>An entry point and the list it takes: its own, or that of the macro which is all it takes.</summary>
internal sealed record EntryPoint(string Name, string ListName);

/// <summary>What a text gives rise to. Places in it are left out, so that an edit that changes no parameter changes nothing here.</summary>
internal sealed record KernelDeclarations(string File, EquatableArray<ParameterList> Lists, EquatableArray<EntryPoint> EntryPoints);

/// <summary>The one rule by which names of the text become names of C#.</summary>
internal static class Names
{
    /// <summary>Ends the name of a macro that stands for parameters.</summary>
    public const string ListSuffix = "_PARAMETERS";

    /// <summary><c>dropout_apply</c> takes <c>DropoutApplyArguments</c>.</summary>
    public static string Record(string list) => $"{Pascal(list)}Arguments";

    /// <summary><c>drop_scale</c> is <c>DropScale</c>.</summary>
    public static string Pascal(string name) =>
        string.Concat(name.Split('_').Select(word => char.ToUpperInvariant(word[0]) + word.Substring(1)));

    /// <summary><c>KEY_PARAMETERS</c> is the list <c>key</c>.</summary>
    public static string List(string macro) => macro.Substring(0, macro.Length - ListSuffix.Length).ToLowerInvariant();
}
