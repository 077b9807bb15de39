using System.Diagnostics.CodeAnalysis;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace MigrationD.Mutants;

/// <summary>
/// Puts every mutant of a file into it, each behind a question whether it is awake, so that one build serves all of them: conditions are
/// negated, bounds moved by one, "and" and "or" exchanged, statements left out, reasons of refusals exchanged.
/// </summary>
/// <remarks>
/// What declares a variable is left alone, since the compiler would no longer see that it is assigned; and constants, attributes and
/// defaults of parameters, which no question can be asked in.
/// </remarks>
internal sealed class MutantRewriter(string path, List<PlantedMutant> planted) : CSharpSyntaxRewriter
{
    [return: NotNullIfNotNull(nameof(node))]
    public override SyntaxNode? Visit(SyntaxNode? node)
    {
        SyntaxNode? visited = base.Visit(node);
        return node is ExpressionSyntax and not LiteralExpressionSyntax && IsCondition(node) && !Declares(node)
            ? SyntaxFactory.ParseExpression($"({Ask(node, "negated")} ^ ({visited}))")
            : visited;
    }

    public override SyntaxNode? VisitAttributeList(AttributeListSyntax node) => node;

    public override SyntaxNode? VisitParameterList(ParameterListSyntax node) => node;

    public override SyntaxNode? VisitEnumMemberDeclaration(EnumMemberDeclarationSyntax node) => node;

    public override SyntaxNode? VisitFieldDeclaration(FieldDeclarationSyntax node) =>
        node.Modifiers.Any(SyntaxKind.ConstKeyword) ? node : base.VisitFieldDeclaration(node);

    public override SyntaxNode? VisitLocalDeclarationStatement(LocalDeclarationStatementSyntax node) =>
        node.IsConst ? node : base.VisitLocalDeclarationStatement(node);

    public override SyntaxNode? VisitCaseSwitchLabel(CaseSwitchLabelSyntax node) => node;

    public override SyntaxNode? VisitBinaryExpression(BinaryExpressionSyntax node)
    {
        var visited = (BinaryExpressionSyntax)base.VisitBinaryExpression(node)!;
        string? other = node.Kind() switch
        {
            SyntaxKind.LessThanExpression => "<=",
            SyntaxKind.LessThanOrEqualExpression => "<",
            SyntaxKind.GreaterThanExpression => ">=",
            SyntaxKind.GreaterThanOrEqualExpression => ">",
            SyntaxKind.EqualsExpression => "!=",
            SyntaxKind.NotEqualsExpression => "==",
            SyntaxKind.LogicalAndExpression => "||",
            SyntaxKind.LogicalOrExpression => "&&",
            _ => null,
        };
        return other is null || Declares(node) || (IsCondition(node) && other is "!=" or "==")
            ? visited
            : SyntaxFactory.ParseExpression(
                $"({Ask(node, $"{node.OperatorToken.Text} to {other}")} ? {visited.Left} {other} {visited.Right} : {visited})")
                .WithTriviaFrom(node);
    }

    public override SyntaxNode? VisitMemberAccessExpression(MemberAccessExpressionSyntax node)
    {
        bool isReason = node.Expression is IdentifierNameSyntax { Identifier.Text: "Because" };
        if (!isReason || node.FirstAncestorOrSelf<PatternSyntax>() is not null)
        {
            return base.VisitMemberAccessExpression(node);
        }

        string other = node.Name.Identifier.Text == "Invalid" ? "NotNow" : "Invalid";
        return SyntaxFactory.ParseExpression($"({Ask(node, $"to {other}")} ? Because.{other} : {node})").WithTriviaFrom(node);
    }

    public override SyntaxNode? VisitExpressionStatement(ExpressionStatementSyntax node)
    {
        var visited = (ExpressionStatementSyntax)base.VisitExpressionStatement(node)!;
        return Declares(node) || !CanBeLeftOut(node.Expression) || IsForTests(node.Expression)
            ? visited
            : SyntaxFactory.ParseStatement($"if (!{Ask(node, "left out")}) {{ {visited} }}").WithTriviaFrom(node);
    }

    private static bool CanBeLeftOut(ExpressionSyntax expression) => expression switch
    {
        InvocationExpressionSyntax or PostfixUnaryExpressionSyntax or PrefixUnaryExpressionSyntax => true,
        AwaitExpressionSyntax { Expression: InvocationExpressionSyntax } => true,
        // A local variable might be left without a value.
        AssignmentExpressionSyntax { RawKind: (int)SyntaxKind.SimpleAssignmentExpression, Left: IdentifierNameSyntax name } =>
            !char.IsLower(name.Identifier.Text[0]),
        AssignmentExpressionSyntax { Left: IdentifierNameSyntax or MemberAccessExpressionSyntax or ElementAccessExpressionSyntax } => true,
        _ => false,
    };

    // FaultInjection makes steps fail in tests, and does nothing otherwise.
    private static bool IsForTests(ExpressionSyntax expression) =>
        expression is InvocationExpressionSyntax { Expression: MemberAccessExpressionSyntax { Expression: IdentifierNameSyntax name } }
        && name.Identifier.Text == "FaultInjection";

    private static bool IsCondition(SyntaxNode node) => node.Parent switch
    {
        IfStatementSyntax or WhileStatementSyntax => true,
        ConditionalExpressionSyntax conditional => conditional.Condition == node,
        _ => false,
    };

    private static bool Declares(SyntaxNode node) => node.DescendantNodesAndSelf().Any(inside =>
        inside is VariableDesignationSyntax
            or DeclarationExpressionSyntax
            or ArgumentSyntax { RefKindKeyword.RawKind: (int)SyntaxKind.OutKeyword });

    private string Ask(SyntaxNode node, string what)
    {
        int line = node.GetLocation().GetLineSpan().StartLinePosition.Line + 1;
        string text = string.Join(' ', node.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        planted.Add(new PlantedMutant(planted.Count, path, line, $"{text} {what}"));
        return $"global::Mutant.Is({planted.Count - 1})";
    }
}

/// <summary>A change of the sources that some test should notice.</summary>
/// <param name="Number">What it is woken by.</param>
/// <param name="Path">The file, from the tree's top.</param>
/// <param name="Line">Where it is.</param>
/// <param name="What">The code, and what becomes of it.</param>
internal sealed record PlantedMutant(int Number, string Path, int Line, string What);
