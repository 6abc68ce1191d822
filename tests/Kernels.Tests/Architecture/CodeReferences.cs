using System.Text.RegularExpressions;
using Kernels.Tests.Documentation;
using Mono.Cecil;
using Mono.Cecil.Cil;

namespace Kernels.Tests.Architecture;

/// <summary>
/// Which type of the library uses which, with the folder under <c>src/Kernels</c> that each stands in. Public types have one namespace
/// whatever their folder, so the folder is that of the source file that declares the type.
/// </summary>
internal sealed partial class CodeReferences
{
    private readonly Dictionary<string, string> _folders = [];

    private CodeReferences(string folder, string assembly)
    {
        foreach (string file in Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories))
        {
            string[] parts = Path.GetRelativePath(folder, file).Split('/', '\\');
            if (parts.Length < 2) continue;
            foreach (Match type in Declaration().Matches(File.ReadAllText(file))) _folders[type.Groups["name"].Value] = parts[0];
        }

        using ModuleDefinition module = ModuleDefinition.ReadModule(assembly);
        All =
        [
            .. from type in module.Types
               where _folders.ContainsKey(Name(type))
               from used in Uses(type).Distinct()
               where _folders.ContainsKey(used)
               select new CodeReference(Name(type), _folders[Name(type)], used, _folders[used]),
        ];
    }

    public IReadOnlyList<CodeReference> All { get; }

    public ISet<string> Folders => _folders.Values.ToHashSet();

    public static CodeReferences OfLibrary() => new(Repository.PathOf("src/Kernels"), typeof(Device).Assembly.Location);

    /// <summary>Names of the outermost types that a type, or one inside it, names in its declarations and method bodies.</summary>
    private static IEnumerable<string> Uses(TypeDefinition type)
    {
        IEnumerable<TypeReference?> direct =
        [
            type.BaseType,
            .. type.Interfaces.Select(implemented => implemented.InterfaceType),
            .. type.Fields.Select(field => field.FieldType),
            .. type.Methods.SelectMany(OfMethod),
        ];
        return direct.SelectMany(Names).Concat(type.NestedTypes.SelectMany(Uses));
    }

    private static IEnumerable<TypeReference?> OfMethod(MethodDefinition method) =>
    [
        method.ReturnType,
        .. method.Parameters.Select(parameter => parameter.ParameterType),
        .. method.HasBody ? method.Body.Variables.Select(variable => variable.VariableType) : [],
        .. method.HasBody ? method.Body.Instructions.SelectMany(OfOperand) : [],
    ];

    private static IEnumerable<TypeReference?> OfOperand(Instruction instruction) => instruction.Operand switch
    {
        TypeReference type => [type],
        GenericInstanceMethod method => [method.DeclaringType, method.ReturnType, .. method.GenericArguments],
        MemberReference member => [member.DeclaringType],
        _ => [],
    };

    private static IEnumerable<string> Names(TypeReference? type)
    {
        switch (type)
        {
            case null or GenericParameter: return [];
            case GenericInstanceType generic: return [Name(generic.ElementType), .. generic.GenericArguments.SelectMany(Names)];
            case TypeSpecification specification: return Names(specification.ElementType);
            default: return [Name(type)];
        }
    }

    /// <summary>The name of the outermost type, without the number of its type parameters.</summary>
    private static string Name(TypeReference type) => type.DeclaringType is { } outer ? Name(outer) : type.Name.Split('`')[0];

    [GeneratedRegex(@"^(?:\w+ )*(?:class|struct|interface|enum|record|record struct|record class) (?<name>\w+)", RegexOptions.Multiline)]
    private static partial Regex Declaration();
}

/// <summary>One type uses another.</summary>
internal sealed record CodeReference(string From, string FromFolder, string To, string ToFolder);
