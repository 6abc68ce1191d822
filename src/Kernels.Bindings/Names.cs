using System.Text;

namespace Kernels.Bindings;

/// <summary>Names in C.</summary>
public static class Names
{
    /// <summary>Words that are written as one, although their letters say otherwise.</summary>
    private static readonly (string Name, string Word)[] Words =
    [
        ("AdamW", "Adamw"), ("BFloat", "Bfloat"), ("CutMix", "Cutmix"), ("DType", "Dtype"), ("NaN", "Nan"), ("OpenCl", "Opencl"),
        ("UInt", "Uint"),
    ];

    /// <summary><c>DropBlockOptions</c> to <c>drop_block_options</c>, <c>dLogits</c> to <c>d_logits</c>.</summary>
    public static string Snake(string name)
    {
        foreach ((string from, string to) in Words) name = name.Replace(from, to, StringComparison.Ordinal);
        StringBuilder text = new();
        for (int i = 0; i < name.Length; i++)
        {
            bool isFirstOfWord = i > 0 && (!char.IsUpper(name[i - 1]) || (i + 1 < name.Length && char.IsLower(name[i + 1])));
            if (char.IsUpper(name[i]) && isFirstOfWord) text.Append('_');
            text.Append(char.ToLowerInvariant(name[i]));
        }

        return text.ToString();
    }

    /// <summary><c>kernels_dropout_options</c>, for the type of that name here or in the library.</summary>
    public static string TypeName(Type type) =>
        "kernels_" + Snake(IsOfInterface(type) && !type.IsEnum ? type.Name[1..] : type.Name);

    /// <summary><c>kernels_dropout_forward</c>.</summary>
    public static string Function(string op, string method) => $"kernels_{Snake(op)}_{Snake(method)}";

    /// <summary><c>KERNELS_LOSS_REDUCTION_MEAN</c>.</summary>
    public static string Constant(Type type, string name) => $"{TypeName(type)}_{Snake(name)}".ToUpperInvariant();

    private static bool IsOfInterface(Type type) => type.Namespace == "Kernels.Native";
}
