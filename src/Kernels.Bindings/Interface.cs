using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Kernels.Bindings;

/// <summary>A parameter, a field, or a result: its name and type in C, and what is said of it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Its type, as the header writes it.</param>
/// <param name="IsNullable">Whether NULL is an answer.</param>
/// <param name="Documentation">Plain text.</param>
/// <param name="Default">A field's value in the macro of its struct; what a parameter is in .NET where it is left out, or null.</param>
public sealed record Variable(string Name, string Type, bool IsNullable, string Documentation, object? Default = null)
{
    /// <summary>As C declares it.</summary>
    public string Declaration =>
        Type.IndexOf('[') is >= 0 and int bracket ? $"{Type[..bracket]} {Name}{Type[bracket..]}"
        : Type.EndsWith('*') ? Type + Name
        : $"{Type} {Name}";
}

/// <summary>A function.</summary>
public sealed record Function(string Name, string Result, IReadOnlyList<Variable> Parameters, string Documentation);

/// <summary>Functions that belong together: an op, or what a handle can do.</summary>
public sealed record Section(string Title, string Documentation, IReadOnlyList<Function> Functions);

/// <summary>A struct; a sized one has a macro of its defaults.</summary>
public sealed record Struct(string Name, IReadOnlyList<Variable> Fields, string Documentation, bool HasDefaults);

/// <summary>An enumeration, a 32-bit number in C.</summary>
public sealed record Enumeration(string Name, IReadOnlyList<(string Name, int Value, string Documentation)> Values, string Documentation);

/// <summary>What the shared library has, read from the exports of its assembly.</summary>
public sealed class Interface
{
    /// <summary>Sections that come first; ops follow by their names.</summary>
    private static readonly string[] First =
    [
        "Library", "Device", "Memory", "Stream", "Event", "Graph", "Dlpack", "Optimizer", "Snapshot", "NormPenalty", "TiedGradients",
    ];

    private readonly Documentation _documentation;
    private readonly List<Type> _enums = [];
    private readonly List<Type> _structs = [];
    private readonly List<Type> _handles = [];

    private Interface(Assembly assembly)
    {
        _documentation = Documentation.Of(assembly.Location);
        (Type, MethodInfo[])[] sections =
        [
            .. from type in assembly.GetExportedTypes()
               let methods = type.GetMethods(BindingFlags.Static | BindingFlags.Public)
                   .Where(method => method.IsDefined(typeof(UnmanagedCallersOnlyAttribute)))
                   .OrderBy(method => method.MetadataToken).ToArray()
               where methods.Length > 0
               let place = Array.IndexOf(First, TitleOf(type))
               orderby place < 0 ? First.Length : place, type.Name
               select (type, methods),
        ];
        Note(assembly.GetType("Kernels.Native.Status", throwOnError: true)!);
        Note(typeof(DType));
        foreach (Type parameter in sections.SelectMany(s => s.Item2).SelectMany(m => m.GetParameters()).Select(p => p.ParameterType))
            Note(parameter);
        Sections = [.. sections.Select(section => SectionOf(section.Item1, section.Item2))];
        Structs = [.. _structs.Select(StructOf)];
        Enumerations = [.. _enums.Select(EnumerationOf)];
        Handles = [.. _handles.OrderBy(type => type.Name, StringComparer.Ordinal)
            .Select(type => (Names.TypeName(type), _documentation.Summary("T:" + type.FullName)))];
        Constants =
        [
            .. from op in OpModel.All.Select(op => op.Op).Distinct()
               from field in op.GetFields(BindingFlags.Public | BindingFlags.Static)
               where field is { IsLiteral: true }
               select ($"KERNELS_{Names.Snake(op.Name)}_{Names.Snake(field.Name)}".ToUpperInvariant(), field.GetRawConstantValue()!,
                   Documentation.Of(op.Assembly.Location).Summary($"F:{op.FullName}.{field.Name}")),
        ];
    }

    /// <summary>Major, minor and patch.</summary>
    public static Version Version => typeof(Device).Assembly.GetName().Version!;

    /// <summary>The functions.</summary>
    public IReadOnlyList<Section> Sections { get; }

    /// <summary>The structs, each after those it contains.</summary>
    public IReadOnlyList<Struct> Structs { get; }

    /// <summary>The enumerations.</summary>
    public IReadOnlyList<Enumeration> Enumerations { get; }

    /// <summary>The opaque types.</summary>
    public IReadOnlyList<(string Name, string Documentation)> Handles { get; }

    /// <summary>Numbers of ops.</summary>
    public IReadOnlyList<(string Name, object Value, string Documentation)> Constants { get; }

    /// <summary>Reads an assembly of exports.</summary>
    public static Interface Of(Assembly assembly) => new(assembly);

    private static bool IsHandle(Type type) => type.GetInterface("IHandle") is not null;

    private static bool IsText(Type type) => type.IsDefined(typeof(InlineArrayAttribute));

    private static string TitleOf(Type type) => type.Name.Replace("Exports", "", StringComparison.Ordinal);

    private void Note(Type type)
    {
        while (type.IsPointer) type = type.GetElementType()!;
        if (type.IsPrimitive || type == typeof(void) || IsText(type)) return;
        List<Type> known = type.IsEnum ? _enums : IsHandle(type) ? _handles : _structs;
        if (known.Contains(type)) return;
        if (known == _structs)
        {
            // What lies inside comes first; what is pointed to is declared ahead of all.
            foreach (FieldInfo field in FieldsOf(type).Where(field => !field.FieldType.IsPointer)) Note(field.FieldType);
            known.Add(type);
            foreach (FieldInfo field in FieldsOf(type).Where(field => field.FieldType.IsPointer)) Note(field.FieldType);
        }
        else
        {
            known.Add(type);
        }
    }

    private Section SectionOf(Type type, IEnumerable<MethodInfo> methods)
    {
        string title = TitleOf(type);
        return new Section(title, _documentation.Summary("T:" + type.FullName), [.. methods.Select(FunctionOf)]);
    }

    private Function FunctionOf(MethodInfo method)
    {
        string member = $"M:{method.DeclaringType!.FullName}.{method.Name}";
        string[] names = [.. method.GetParameters().Select(p => p.Name!)];
        string name = method.GetCustomAttribute<UnmanagedCallersOnlyAttribute>()!.EntryPoint!;
        ParameterInfo[] managed = [.. OpModel.All.FirstOrDefault(op => op.Function == name)?.Parameters ?? []];
        IEnumerable<Variable> parameters = method.GetParameters().Select(p => new Variable(
            Names.Snake(p.Name!), TypeOf(p.ParameterType, isConst: !p.IsOut), p.IsDefined(typeof(AllowNullAttribute)),
            _documentation.Parameter(member, names, p.Name!), Array.Find(managed, other => other.Name == p.Name)?.RawDefaultValue));
        return new Function(name, TypeOf(method.ReturnType, isConst: true), [.. parameters], _documentation.Summary(member, names));
    }

    private Struct StructOf(Type type)
    {
        Type? record = typeof(Device).Assembly.GetType("Kernels." + type.Name[1..]);
        object? defaults = record is not null && FieldsOf(type)[0].Name == "Size" ? new RecordModel(record).Default : null;
        IEnumerable<Variable> fields = FieldsOf(type).Select(field => new Variable(
            Names.Snake(field.Name), TypeOf(field.FieldType, isConst: field.Name is not "Data"),
            field.FieldType.IsPointer || IsHandle(field.FieldType), _documentation.Summary($"F:{type.FullName}.{field.Name}"),
            defaults is null || field.Name == "Size" ? null : DefaultOf(defaults, field)));
        return new Struct(Names.TypeName(type), [.. fields], _documentation.Summary("T:" + type.FullName), defaults is not null);
    }

    /// <summary>The default of a field: of the property of its name, of whether there is a value, or nothing.</summary>
    private static object? DefaultOf(object defaults, FieldInfo field)
    {
        string name = field.Name;
        Type type = defaults.GetType();
        if (field.FieldType.IsPointer) return null;
        if (type.GetProperty(name) is { } property) return property.GetValue(defaults) ?? Zero(field.FieldType);
        if (name.StartsWith("Has", StringComparison.Ordinal)) return type.GetProperty(name[3..])!.GetValue(defaults) is not null;
        return Zero(field.FieldType);
    }

    private static object? Zero(Type type) => type.IsPointer ? null : RuntimeHelpers.GetUninitializedObject(type);

    private Enumeration EnumerationOf(Type type)
    {
        Documentation documentation = type.Assembly == typeof(Device).Assembly ? Documentation.Of(type.Assembly.Location) : _documentation;
        return new Enumeration(
            Names.TypeName(type),
            [.. Enum.GetNames(type).Select(name => (
                Names.Constant(type, name), Convert.ToInt32(Enum.Parse(type, name)), documentation.Summary($"F:{type.FullName}.{name}")))],
            documentation.Summary("T:" + type.FullName));
    }

    private static FieldInfo[] FieldsOf(Type type) =>
        [.. type.GetFields(BindingFlags.Instance | BindingFlags.Public).OrderBy(field => field.MetadataToken)];

    private static string TypeOf(Type type, bool isConst)
    {
        if (type.IsPointer)
        {
            Type target = type.GetElementType()!;
            if (target.IsPointer) return target.GetElementType() == typeof(byte) ? "const char **" : TypeOf(target, false) + "*";
            if (IsHandle(target)) return Names.TypeName(target) + " **";
            string name = target == typeof(byte) ? "char" : target == typeof(void) ? "void" : TypeOf(target, false);
            return isConst ? $"const {name} *" : name + " *";
        }

        if (IsHandle(type)) return Names.TypeName(type) + " *";
        if (IsText(type)) return $"char[{type.GetCustomAttribute<InlineArrayAttribute>()!.Length}]";
        return Type.GetTypeCode(type) switch
        {
            _ when type.IsEnum || !type.IsPrimitive => Names.TypeName(type),
            TypeCode.Boolean => "bool",
            TypeCode.Byte => "uint8_t",
            TypeCode.UInt16 => "uint16_t",
            TypeCode.Int32 => "int32_t",
            TypeCode.UInt32 => "uint32_t",
            TypeCode.Int64 => "int64_t",
            TypeCode.UInt64 => "uint64_t",
            TypeCode.Single => "float",
            TypeCode.Double => "double",
            _ when type == typeof(nuint) => "size_t",
            _ => throw new NotSupportedException($"{type} has no type in C"),
        };
    }
}
