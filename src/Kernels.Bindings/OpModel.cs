using System.Reflection;

namespace Kernels.Bindings;

/// <summary>All overloads of a static method of the public API, which are one function in C.</summary>
/// <param name="Op">The class.</param>
/// <param name="Method">The method's name.</param>
/// <param name="Overloads">The overloads.</param>
public sealed record OpModel(Type Op, string Method, IReadOnlyList<MethodInfo> Overloads)
{
    /// <summary>The method's name in messages.</summary>
    public string Name => $"{Op.Name}.{Method}";

    /// <summary>The function's name in C.</summary>
    public string Function => Names.Function(Op.Name, Method);

    /// <summary>The longest list of parameters; the others leave out tensors.</summary>
    public IReadOnlyList<ParameterInfo> Parameters { get; } = Overloads.Select(o => o.GetParameters()).MaxBy(p => p.Length)!;

    /// <summary>Whether it queues work.</summary>
    public bool HasStream => Parameters[0].ParameterType == typeof(DeviceStream);

    /// <summary>Everything that becomes a function: the static classes of ops, and the definition of the random bits.</summary>
    public static IReadOnlyList<OpModel> All { get; } =
        [.. from type in typeof(Device).Assembly.GetExportedTypes()
            where type is { IsAbstract: true, IsSealed: true, IsGenericType: false }
            let methods = type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly)
            where type == typeof(Philox) || methods.Any(m => m.GetParameters().FirstOrDefault()?.ParameterType == typeof(DeviceStream))
            orderby type.Name
            from method in methods
            where !method.IsSpecialName && IsDistinct(method)
            group method by (type, method.Name) into overloads
            select new OpModel(overloads.Key.type, overloads.Key.Name, [.. overloads])];

    /// <summary>True for a parameter that not every overload has.</summary>
    public bool IsLeftOut(ParameterInfo parameter) =>
        Overloads.Any(overload => overload.GetParameters().All(other => other.Name != parameter.Name));

    /// <summary>The element type behind a tensor, which may be a type parameter; null for what is no tensor.</summary>
    public static Type? ElementOf(Type parameter) =>
        parameter.IsGenericType && parameter.GetGenericTypeDefinition() == typeof(DeviceTensor<>)
            ? parameter.GetGenericArguments()[0]
            : null;

    /// <summary>Whether null is an answer.</summary>
    public static bool IsNullable(ParameterInfo parameter) =>
        new NullabilityInfoContext().Create(parameter).WriteState == NullabilityState.Nullable;

    /// <summary>Philox has its block twice, of a key and of bare words; the words are the definition's and no help to callers.</summary>
    private static bool IsDistinct(MethodInfo method) =>
        method.DeclaringType != typeof(Philox) || method.GetParameters()[0].ParameterType == typeof(RandomKey);
}

/// <summary>One choice of element types: an overload, and the arguments of its type parameters.</summary>
/// <param name="Method">The overload, closed.</param>
public sealed record Instance(MethodInfo Method)
{
    private static readonly Type[] Floats = [typeof(float), typeof(Half), typeof(BFloat16), typeof(double)];

    /// <summary>The element types of the tensors among the parameters, by name.</summary>
    public Dictionary<string, Type> Elements { get; } =
        Method.GetParameters().Where(p => OpModel.ElementOf(p.ParameterType) is not null)
            .ToDictionary(p => p.Name!, p => OpModel.ElementOf(p.ParameterType)!);

    /// <summary>Every choice that the op takes.</summary>
    public static IEnumerable<Instance> Of(MethodInfo overload)
    {
        if (!overload.IsGenericMethodDefinition) return [new Instance(overload)];
        string[] names = [.. overload.GetGenericArguments().Select(type => type.Name)];
        return Choices(string.Join(',', names)).Select(types => new Instance(overload.MakeGenericMethod(types)));
    }

    /// <summary>What type parameters may be. Images are bytes or floats, and those of double become double.</summary>
    private static IEnumerable<Type[]> Choices(string names) => names switch
    {
        "T" => Floats.Select(type => new[] { type }),
        "TReal" => [[typeof(float)], [typeof(double)]],
        "T,TReal" => Floats.Select(type => new[] { type, type == typeof(double) ? type : typeof(float) }),
        "TIn,TOut" or "TIn,T" =>
            from input in Floats.Prepend(typeof(byte))
            from output in Floats
            where input != typeof(double) || output == typeof(double)
            select new[] { input, output },
        _ => throw new NotSupportedException($"type parameters {names}"),
    };
}
